"""Actions that change a machine: planned, shown, journalled before they are done, verified after, undone at will."""
