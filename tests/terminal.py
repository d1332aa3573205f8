"""Runs a shell command with a terminal as its standard error (and output, unless redirected), and prints what the terminal was given,
carriage returns as line breaks: terminal.py COMMAND. Exits with the command's status."""
import os
import pty
import subprocess
import sys

leader, follower = pty.openpty()
child = subprocess.Popen(["bash", "-c", "set -o pipefail; " + sys.argv[1]], stdin=subprocess.DEVNULL, stdout=follower, stderr=follower,
                         start_new_session=True)
os.close(follower)
while True:
    try:
        got = os.read(leader, 65536)
    except OSError:  # the last process has closed the terminal
        break
    if not got:
        break
    sys.stdout.buffer.write(got.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
    sys.stdout.flush()
sys.exit(child.wait())
