"""Signs in, reads and signs out, as often as the command line says."""

import sys

import connect

server = connect.server()
for _ in range(int(sys.argv[1])):
    with server.auth.sign_in(connect.credentials()):
        server.workbooks.get()
