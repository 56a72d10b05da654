"""Lists, pages through and downloads content, queries the Metadata API, and runs a job."""

import hashlib
import json

import tableauserverclient as TSC

import connect

server = connect.server()
with server.auth.sign_in(connect.credentials()):
    pages = TSC.Pager(server.workbooks, TSC.RequestOptions(pagesize=1))
    found = {"workbooks": {w.name: w.id for w in pages}}
    found["projects"] = sorted(p.name for p in TSC.Pager(server.projects, TSC.RequestOptions(pagesize=2)))
    found["datasources"] = sorted(d.name for d in TSC.Pager(server.datasources))
    found["views"] = len(list(TSC.Pager(server.views, TSC.RequestOptions(pagesize=2))))
    found["filtered"] = [w.name for w in server.workbooks.filter(name="Finance Overview")]

    workbook = server.workbooks.get_by_id(found["workbooks"]["Finance Overview"])
    with open(server.workbooks.download(workbook.id, filepath="download"), "rb") as file:
        found["download"] = hashlib.sha256(file.read()).hexdigest()
    datasource = next(d for d in TSC.Pager(server.datasources) if d.name == "Finance Orders")
    with open(server.datasources.download(datasource.id, filepath="download"), "rb") as file:
        found["datasource"] = hashlib.sha256(file.read()).hexdigest()
    server.workbooks.populate_pdf(workbook)
    server.workbooks.populate_preview_image(workbook)
    found["pdf"] = [workbook.pdf[:5].decode()]
    found["image"] = [workbook.preview_image[1:4].decode()]

    server.workbooks.populate_views(workbook)
    view = workbook.views[0]
    server.views.populate_pdf(view)
    server.views.populate_image(view)
    server.views.populate_csv(view)
    found["pdf"].append(view.pdf[:5].decode())
    found["image"].append(view.image[1:4].decode())
    found["csv"] = b"".join(view.csv).decode()

    answer = server.metadata.query("{ workbooks { name luid } }")
    found["metadata"] = {w["name"]: w["luid"] for w in answer["data"]["workbooks"]}

    job = server.workbooks.refresh(workbook)
    found["job"] = server.jobs.wait_for_job(job, timeout=60).finish_code
    found["jobs"] = [j.id for j in TSC.Pager(server.jobs)] == [job.id]
print(json.dumps(found))
