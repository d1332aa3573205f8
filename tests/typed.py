"""A person at a terminal: typed.py KEYS TEXT COMMAND runs the command as an interactive shell does, types KEYS when the terminal has shown
TEXT, and prints what it was given, carriage returns as line breaks. Exits with the command's status."""
import os
import pty
import sys

keys, text, command = sys.argv[1:]
pid, leader = pty.fork()
if pid == 0:
    os.execvp("bash", ["bash", "--norc", "-c", "set -m -o pipefail; " + command + "\nexit $?"])
seen = b""
typed = not keys
while True:
    try:
        got = os.read(leader, 65536)
    except OSError:  # the last process has closed the terminal
        break
    if not got:
        break
    seen += got
    if not typed and text.encode() in seen:
        typed = True
        os.write(leader, keys.encode())
sys.stdout.buffer.write(seen.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
