"""Signs in, looks who that is, and signs out; then twice more with the same objects, as scripts do."""

import json

import connect

server = connect.server(headers={"X-Script": "nightly"})
with server.auth.sign_in(connect.credentials()):
    print(server.site_url)
    who = {"site": server.site_id, "user": server.user_id, "version": server.version}
    who["name"] = server.users.get_by_id(server.user_id).name
    who["workbooks"] = sorted(w.name for w in server.workbooks.get()[0])

# The headers that were given to the server now carry the token of the session that has ended.
server.auth.sign_in(connect.credentials())
server.use_server_version()
server.auth.sign_in(connect.credentials())
assert server.workbooks.get()[1].total_available == len(who["workbooks"])
server.auth.sign_out()
print(json.dumps(who))
