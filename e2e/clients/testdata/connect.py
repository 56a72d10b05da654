"""What the scripts for the Tableau Server Client share: which server, and which credentials.

PROXY is the address. NAME and SECRET are the credentials; BASIC, if set, is "user:password" for the
proxy itself. KIND says how to sign in: password (the default), pat, jwt or uat. IMPERSONATE is the
LUID of a user to become.
"""

import os

import tableauserverclient as TSC

SITE = os.environ.get("SITE", "finance")


def server(**options):
    if "BASIC" in os.environ:
        options["auth"] = tuple(os.environ["BASIC"].split(":", 1))
    return TSC.Server(os.environ["PROXY"], http_options=options, use_server_version=True)


def credentials():
    name, secret, other = os.environ["NAME"], os.environ["SECRET"], os.environ.get("IMPERSONATE")
    return {
        "password": lambda: TSC.TableauAuth(name, secret, site_id=SITE, user_id_to_impersonate=other),
        "pat": lambda: TSC.PersonalAccessTokenAuth(name, secret, site_id=SITE, user_id_to_impersonate=other),
        "jwt": lambda: TSC.JWTAuth(secret, site_id=SITE),
        "uat": lambda: TSC.JWTAuth(secret, isUat=True, site_id=SITE),
    }[os.environ.get("KIND", "password")]()
