"""Proposals: asking for one, the list, and one of them with what informed each section."""

from typing import Any
from uuid import UUID

from flask import Blueprint, abort, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from psycopg.types.json import Jsonb

from oauth_app.informed_by import Source, sources_of
from oauth_app.services import services
from oauth_app.session import Person, require_person
from oauth_app.text import to_html

proposals = Blueprint("proposals", __name__)

_LONGEST_TITLE = 200
_LONGEST_BRIEF = 20_000
_LISTED = 200
UNDER_WAY = frozenset({"draft", "queued", "writing"})
STATUS_WORDS = {
    "draft": "Draft",
    "queued": "Waiting to be written",
    "writing": "Being written",
    "ready": "Ready",
    "failed": "Could not be written",
}


@proposals.get("/proposals")
def show_list() -> ResponseReturnValue:
    """What was asked for, newest first, and a form to ask for more."""
    person = require_person()
    with services().database.user(person.user_id) as transaction:
        rows = transaction.execute(
            """select id, title, status, created_at from proposals where org_id = %s
                order by created_at desc, id limit %s""",
            [person.org_id, _LISTED],
        ).fetchall()
    return render_template("proposals.html", proposals=rows, words=STATUS_WORDS, under_way=UNDER_WAY)


@proposals.post("/proposals")
def ask_by_form() -> ResponseReturnValue:
    """Ask for a proposal and go to its page."""
    person = require_person()
    proposal_id, _ = _ask(person, request.form.get("title"), request.form.get("brief"))
    return redirect(url_for("proposals.show", proposal_id=proposal_id), 303)


@proposals.post("/api/proposals")
def ask_by_program() -> ResponseReturnValue:
    """Ask for a proposal: {title, brief}."""
    person = require_person()
    asked = request.get_json(silent=True)
    if not isinstance(asked, dict):
        abort(400, 'Send a JSON object with "title" and "brief".')
    proposal_id, job_id = _ask(person, asked.get("title"), asked.get("brief"))
    return jsonify(id=proposal_id, job_id=job_id), 201


@proposals.get("/proposals/<uuid:proposal_id>")
def show(proposal_id: UUID) -> ResponseReturnValue:
    """The sections, each with what informed it."""
    proposal, informed = _read(require_person(), proposal_id)
    sections = [
        {**section, "html": to_html(section["body"]), "sources": informed.get(section["heading"], [])}
        for section in proposal["sections"]
    ]
    return render_template(
        "proposal.html",
        proposal=proposal,
        sections=sections,
        status=STATUS_WORDS[proposal["status"]],
        under_way=proposal["status"] in UNDER_WAY,
    )


@proposals.get("/api/proposals/<uuid:proposal_id>")
def show_as_json(proposal_id: UUID) -> ResponseReturnValue:
    """The same for programs."""
    proposal, informed = _read(require_person(), proposal_id)
    return jsonify(
        id=proposal["id"],
        title=proposal["title"],
        brief=proposal["brief"],
        status=proposal["status"],
        error=proposal["error"],
        sections=[
            {**section, "informed_by": [source.as_json() for source in informed.get(section["heading"], [])]}
            for section in proposal["sections"]
        ],
    )


def _ask(person: Person, title: Any, brief: Any) -> tuple[UUID, UUID]:
    """The proposal and its job, made together."""
    wanted = [
        person.org_id, _text(title, "title", _LONGEST_TITLE), _text(brief, "brief", _LONGEST_BRIEF), person.user_id
    ]  # fmt: skip
    with services().database.user(person.user_id) as transaction:
        proposal = transaction.execute(
            """insert into proposals (org_id, title, brief, status, created_by) values (%s, %s, %s, 'queued', %s)
               returning id""",
            wanted,
        ).fetchone()
        assert proposal is not None
        job = transaction.execute(
            "insert into jobs (org_id, job_type, payload) values (%s, 'proposal', %s) returning id",
            [person.org_id, Jsonb({"proposal_id": str(proposal["id"])})],
        ).fetchone()
        assert job is not None
    return proposal["id"], job["id"]


def _text(value: Any, name: str, longest: int) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if not text:
        abort(400, f"The {name} is missing: say in a few words what the proposal is about.")
    if len(text) > longest:
        abort(400, f"The {name} is too long: {len(text):,} characters, of at most {longest:,}.")
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        abort(400, f"The {name} holds characters that are no text.")
    return text


def _read(person: Person, proposal_id: UUID) -> tuple[dict[str, Any], dict[str, list[Source]]]:
    with services().database.user(person.user_id) as transaction:
        proposal = transaction.execute(
            """select p.id, p.title, p.brief, p.status, p.sections, p.created_at, p.updated_at,
                      case when p.status = 'failed' then j.error end as error
                 from proposals p
                 left join lateral (select error from jobs j where j.org_id = p.org_id and j.proposal_id = p.id
                                     order by j.created_at desc limit 1) j on true
                where p.org_id = %s and p.id = %s""",
            [person.org_id, proposal_id],
        ).fetchone()
        if proposal is None:
            abort(404, "There is no such proposal.")
        informed = sources_of(transaction, person.org_id, proposal_id)
    proposal["sections"] = [
        {"heading": str(section.get("heading", "")), "body": str(section.get("body", ""))}
        for section in proposal["sections"]
        if isinstance(section, dict)
    ]
    return proposal, informed
