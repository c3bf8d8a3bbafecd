"""What a client and a worker do with a batch."""

import io
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as parquet

from apps.recommendation.models import BatchChunk
from apps.recommendation.tasks import finish_batch, make_chunk, plan_batch
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.tasks import TENANT_HEADER
from tests.conftest import ApiClient

ADDRESS = "recommendations/batches"


def run(task: Any, tenant: Tenant, batch: dict[str, Any]) -> None:
    """What a worker does with one message."""
    task.apply(kwargs={"batch_id": batch["id"]}, headers={TENANT_HEADER: tenant.id}, throw=True)


def run_all(tenant: Tenant, batch: dict[str, Any]) -> None:
    run(plan_batch, tenant, batch)
    with tenant_scope(tenant.id):
        chunks = BatchChunk.objects.filter(batch_id=batch["id"]).count()
    for _ in range(chunks):
        run(make_chunk, tenant, batch)
    run(finish_batch, tenant, batch)


def start(api: ApiClient, **body: Any) -> dict[str, Any]:
    answer = api.post(ADDRESS, body)
    assert answer.status_code == 202, answer.content
    return answer.json()


def look(api: ApiClient, batch: dict[str, Any]) -> dict[str, Any]:
    return api.get(f"{ADDRESS}/{batch['id']}").json()


def download(api: ApiClient, batch: dict[str, Any]) -> pa.Table:
    answer = api.get(f"{ADDRESS}/{batch['id']}/file")
    assert answer.status_code == 200, answer.content
    data = io.BytesIO(b"".join(answer.streaming_content))
    return pyarrow.csv.read_csv(data) if batch["format"] == "csv" else parquet.read_table(data)


def lists(table: pa.Table) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in table.sort_by([("user_id", "ascending"), ("rank", "ascending")]).to_pylist():
        found.setdefault(row["user_id"], []).append(row["item_id"])
    return found
