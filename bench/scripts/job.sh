#!/bin/sh
# A job as people write it: sign in, read ten times, sign out, each a call of curl.
# Each line of the standard input says where: server, file of CAs, name and secret.
# "done" is printed when the job is.
set -eu

call() { curl --silent --show-error --fail --cacert "$ca" -H "Accept: application/json" "$@"; }

echo ready
while read -r server ca name secret; do
	answer=$(call "$server/api/3.24/auth/signin" -H "Content-Type: application/json" \
		-d "{\"credentials\":{\"name\":\"$name\",\"password\":\"$secret\",\"site\":{\"contentUrl\":\"finance\"}}}")
	token=$(expr "$answer" : '.*"token":"\([^"]*\)"')
	site=$(expr "$answer" : '.*"site":{"id":"\([^"]*\)"')
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		call -H "X-Tableau-Auth: $token" "$server/api/3.24/sites/$site/workbooks" -o /dev/null
	done
	call -H "X-Tableau-Auth: $token" -X POST "$server/api/3.24/auth/signout"
	echo done
done
