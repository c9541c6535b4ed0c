# Runs a command in a terminal of so many columns and writes down all that reaches it. The other argument is a list of pairs
# [text, keys]: when the text has appeared, after what was waited for before, the keys are typed. Ends with the command's exit code.
import fcntl
import json
import os
import pty
import struct
import sys
import termios

columns, typed = int(sys.argv[1]), json.loads(sys.argv[2])
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    os.execvp(sys.argv[3], sys.argv[3:])

written, begin = b"", 0
while True:
    try:
        piece = os.read(terminal, 65536)
    except OSError:  # the command has ended
        break
    if not piece:
        break
    written += piece
    while typed and written.find(typed[0][0].encode(), begin) >= 0:
        text, keys = typed.pop(0)
        begin = written.find(text.encode(), begin) + len(text.encode())
        os.write(terminal, keys.encode())
sys.stdout.buffer.write(written)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
