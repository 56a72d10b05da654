"""The journey of a script on tableau_tools, which speaks XML and keeps its own HTTP sessions."""

import json
import os

from tableau_tools.tableau_server_rest import TableauServerRest33

server = TableauServerRest33(
    os.environ["PROXY"], os.environ["NAME"], os.environ["SECRET"], site_content_url=os.environ.get("SITE", "finance")
)
server.signin()
journey = {
    "site": server.site_luid,
    "user": server.user_luid,
    "workbooks": sorted(w.get("name") for w in server.workbooks.query_workbooks()),
    "projects": sorted(p.get("name") for p in server.projects.query_projects()),
}
server.signout()
print(json.dumps(journey))
