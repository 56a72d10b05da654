#!/bin/sh
# The requests of a script through the proxy, with curl alone.
#
#   CLIENT=etl SECRET="$(cat etl.secret)" sh journey.sh https://tableau.corp.example finance
#   BASIC=alice:demo sh journey.sh http://127.0.0.1:8765 finance
#
# CLIENT and SECRET are what `caddy tableau client add etl` has printed. With BASIC
# the proxy knows you by HTTP basic authentication, and nobody has to sign in.
set -eu

server=$1/api/3.24
site=$2

# request calls curl so that an error ends the script and shows what is wrong, and so
# that no secret is an argument, which every user of the machine can read.
request() {
	curl --silent --show-error --fail-with-body --config - "$@"
}

# attribute prints the value of an attribute that the answer has once.
attribute() {
	sed -n "s/.*$1=\"\([^\"]*\)\".*/\1/p"
}

if [ -n "${BASIC:-}" ]; then
	echo "== the workbooks, without signing in"
	echo "user = \"$BASIC\"" | request "$server/sites/-/workbooks"
	echo
	exit
fi

echo "== sign in"
body="<tsRequest><credentials personalAccessTokenName='$CLIENT' personalAccessTokenSecret='$SECRET'><site contentUrl='$site'/></credentials></tsRequest>"
answer=$(echo "data = \"$body\"" | request "$server/auth/signin")
token=$(echo "$answer" | attribute 'credentials token')
id=$(echo "$answer" | attribute 'site id')
header="header = \"X-Tableau-Auth: $token\""
echo "site $id"

echo "== the workbooks"
echo "$header" | request "$server/sites/$id/workbooks"
echo

echo "== the first view, as CSV"
view=$(echo "$header" | request -H 'Accept: application/xml' "$server/sites/$id/views?pageSize=1" | attribute 'view id')
echo "$header" | request "$server/sites/$id/views/$view/data"

echo "== sign out"
echo "$header" | request --write-out '%{http_code}\n' -X POST "$server/auth/signout"
