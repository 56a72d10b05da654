"""Publishes the file that is named on the command line as a workbook, and downloads it again."""

import hashlib
import json
import sys

import tableauserverclient as TSC

import connect


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


server = connect.server()
with server.auth.sign_in(connect.credentials()):
    project = next(p for p in TSC.Pager(server.projects) if p.name == "Sandbox")
    workbook = TSC.WorkbookItem(project_id=project.id, name="Published")
    workbook = server.workbooks.publish(workbook, sys.argv[1], TSC.Server.PublishMode.CreateNew)
    again = server.workbooks.download(workbook.id, filepath="again")
print(json.dumps({"id": workbook.id, "owner": workbook.owner_id, "same": digest(again) == digest(sys.argv[1])}))
