"""Switches to another site and back; the site that one is on already is an error."""

import json

import tableauserverclient as TSC

import connect

server = connect.server()
visits = []


def visit():
    visits.append({"site": server.site_id, "user": server.user_id, "workbooks": [w.name for w in server.workbooks.get()[0]]})


server.auth.sign_in(connect.credentials())
visit()
for content_url in ("marketing", "finance"):
    item = TSC.SiteItem(content_url, content_url)
    server.auth.switch_site(item)
    visit()
server.auth.sign_out()
print(json.dumps(visits))
