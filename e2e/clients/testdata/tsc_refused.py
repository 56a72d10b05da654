"""Tries to sign in, and prints how that failed."""

import json

import tableauserverclient as TSC

import connect

try:
    connect.server().auth.sign_in(connect.credentials())
except TSC.FailedSignInError as e:
    print(json.dumps({"code": e.code, "summary": e.summary, "detail": e.detail}))
