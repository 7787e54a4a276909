"""Bring automations.yaml to the Prefect server: `python deploy/automate.py [URL]`, again after each change.

Where the deployment `pipeline` has no schedule it gets a nightly one, which is off until someone switches it on.
The URL is that of a webhook (Slack, Mattermost, or your own) that takes JSON with a field `text`; without one, nobody
is told and the messages' automation is left out. Prefect keeps the URL in its block `polyloom` as a secret.
"""

import sys
from pathlib import Path
from typing import Any

import yaml
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.schedules import CronSchedule
from prefect.events.schemas.automations import AutomationCore

BLOCK = "polyloom"
PIPELINE = "train_retriever/pipeline"
NIGHTLY = CronSchedule(cron="0 2 * * *", timezone="Europe/Helsinki")


def automate(url: str | None) -> list[str]:
    """Make the automations anew, and a nightly schedule where there is none; return the automations' names."""
    text = Path(__file__).with_name("automations.yaml").read_text(encoding="utf-8")
    block = _save_block(url) if url else None
    names = []
    with get_client(sync_client=True) as client:
        for entry in yaml.safe_load(text)["automations"]:
            told = [action for action in entry["actions"] if action["type"] == "send-notification"]
            if told and block is None:
                continue
            for action in told:
                action["block_document_id"] = block
            _replace(client, entry)
            names.append(entry["name"])
        deployment = client.read_deployment_by_name(PIPELINE)
        if not deployment.schedules:
            client.create_deployment_schedules(deployment.id, [(NIGHTLY, False)])
    return names


def _save_block(url: str) -> str:
    """Save the webhook; the UI shows stars for its URL, which often is all the key that a channel has."""
    block = CustomWebhookNotificationBlock(
        name=BLOCK, url="{{url}}", json_data={"text": "{{subject}}\n{{body}}"}, secrets={"url": url}
    )
    return str(block.save(BLOCK, overwrite=True))


def _replace(client: SyncPrefectClient, entry: dict[str, Any]) -> None:
    for there in client.read_automations_by_name(entry["name"]):
        client.delete_automation(there.id)
    client.create_automation(AutomationCore.model_validate(entry))


if __name__ == "__main__":
    for made in automate(sys.argv[1] if len(sys.argv) > 1 else None):
        sys.stdout.write(f"{made}\n")
