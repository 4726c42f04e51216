"""What a native library says about itself, read from its headers; nothing here loads one."""
