#!/usr/bin/env python3
"""A script on the Tableau Server Client, through the proxy: pip install tableauserverclient

    python journey.py https://tableau.corp.example finance --name etl --secret-file etl.secret
    python journey.py http://127.0.0.1:8765 finance --basic alice:demo

The first form needs nothing but what `caddy tableau client add etl` has printed; the script signs in
with it as with a personal access token. The second is for a proxy that knows you by HTTP basic
authentication, such as `caddy tableau demo`; what the script signs in with does not matter then.
"""

import argparse
from pathlib import Path

import tableauserverclient as TSC

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("server", help="the address of the proxy")
parser.add_argument("site", help="the content URL of the site")
parser.add_argument("--name", default="dummy", help="the name of this tool in the clients block")
parser.add_argument("--secret-file", type=Path, help="a file with its secret")
parser.add_argument("--basic", metavar="USER:PASSWORD", help="who you are to the proxy")
args = parser.parse_args()

secret = args.secret_file.read_text().strip() if args.secret_file else "dummy"
options = {"auth": tuple(args.basic.split(":", 1))} if args.basic else {}

server = TSC.Server(args.server, http_options=options, use_server_version=True)
with server.auth.sign_in(TSC.PersonalAccessTokenAuth(args.name, secret, site_id=args.site)):
    print(f"signed in to {args.site}, REST API {server.version}")
    for workbook in TSC.Pager(server.workbooks):
        server.workbooks.populate_views(workbook)
        print(f"{workbook.project_name}/{workbook.name}: {', '.join(view.name for view in workbook.views)}")
