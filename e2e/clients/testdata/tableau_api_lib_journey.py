"""The journey of a script on tableau-api-lib, which speaks JSON."""

import json
import os

from tableau_api_lib import TableauServerConnection
from tableau_api_lib.utils.querying import get_view_data_dataframe, get_workbooks_dataframe

credentials = {
    "password": {"username": os.environ["NAME"], "password": os.environ["SECRET"]},
    "pat": {"personal_access_token_name": os.environ["NAME"], "personal_access_token_secret": os.environ["SECRET"]},
}[os.environ["KIND"]]
config = {"server": os.environ["PROXY"], "api_version": "3.27", "site_name": "Finance", "site_url": "finance", **credentials}

conn = TableauServerConnection({"tableau_prod": config})
response = conn.sign_in()
assert response.status_code == 200, response.text
view = next(v for v in conn.query_views_for_site(site_id=conn.site_id).json()["views"]["view"] if v["name"] == "Overview")
print(
    json.dumps(
        {
            "site": conn.site_id,
            "user": conn.user_id,
            "workbooks": sorted(get_workbooks_dataframe(conn)["name"]),
            "rows": len(get_view_data_dataframe(conn, view_id=view["id"])),
            "image": conn.query_view_image(view_id=view["id"]).content[1:4].decode(),
            "signed_out": conn.sign_out().status_code,
        }
    )
)
