"""A job as people write it: sign in, read ten times, sign out.

Each line of the standard input says where: server, file of CAs, name and secret. "done" is printed
when the job is. Starting Python is no part of the job.
"""

import sys

import tableauserverclient as TSC

print("ready", flush=True)
for line in sys.stdin:
    address, ca, name, secret = line.split()
    server = TSC.Server(address, http_options={"verify": ca})
    server.version = "3.24"
    with server.auth.sign_in(TSC.TableauAuth(name, secret, site_id="finance")):
        for _ in range(10):
            server.workbooks.get()
    print("done", flush=True)
