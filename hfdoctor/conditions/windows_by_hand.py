"""What a person does by hand on Windows, click by click: the same words wherever a finding needs them."""

from __future__ import annotations

#: Microsoft's permanent address of the newest release for a kind of Python (x64, arm64, x86)
REDISTRIBUTABLE = "https://aka.ms/vc14/vc_redist.{kind}.exe"

#: the Visual C++ runtime: the file is got, started (this needs an administrator), and has done its work
DOWNLOAD_RUNTIME = "download Microsoft's Visual C++ redistributable: open {url} in your browser"
INSTALL_RUNTIME = "open the downloaded file {file}, agree, press Install, and answer Yes when Windows asks"
RESTART_IF_ASKED = "restart Windows if the installer asks for it, then run hfdoctor check again"

#: the page file: its dialog is opened (this needs an administrator), followed, and has done its work
OPEN_OPTIONS = "press the Windows key and R together, type SystemPropertiesPerformance and press Enter"
OPEN_MEMORY = "in the tab Advanced, under Virtual memory, press Change"
LET_WINDOWS_MANAGE = "tick 'Automatically manage paging file size for all drives' and press OK in every window"
RESTART = "restart Windows, then run hfdoctor check again"
MEANWHILE = "until then close other programs, and use fewer DataLoader workers"
