"""Reads without end, until its standard input is closed; then prints how often it has."""

import json
import sys
import threading

import connect

stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()

server = connect.server()
server.auth.sign_in(connect.credentials())
reads = 0
while not stop.is_set():
    workbook = server.workbooks.get()[0][0]
    server.workbooks.get_by_id(workbook.id)
    reads += 1
    if reads == 1:
        print("reading")
print(json.dumps(reads))
