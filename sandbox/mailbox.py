"""The mail of an organisation's admin: threads with the people of its clients, and what comes along in any mailbox."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from sandbox.awkward import BIDI, INJECTION, SECRETS, ZERO_WIDTH
from sandbox.fiction import Author
from sandbox.world import Company, Contact, Organization, moment

MOST_REPLIES = 8  # a thread of ten is cut by the server; one that is planted is longer
ASKED = ("Could you send a first figure for {work}?", "We would like to talk about {work}, {timing}.")
ANSWERED = ("Thank you. {scope} {constraint}", "Understood. We can begin {timing}.", "What matters most here: {cares}?")
NO_DAYS = ("0000-00-00", "2026-11-03T24:00:00Z", "2016-12-31T23:59:60Z", "10000-01-01", "9999-12-31T23:59:59-08:00")
SIGNED = "Best regards,\n{name}\n{title}\n{house}"
# Long, and the same in every world: made once, where a reset takes 20 ms in all.
EVERYBODY = [f"person{number}@list.example" for number in range(10_000)]
LOG = "\n".join(" ".join(f"{line * 8 + word:07x}" for word in range(8)) for line in range(18_000))
FORWARDS = (
    "".join(
        f"Level {level}\n\nBegin forwarded message:\n\nFrom: a@b.example\nSubject: Fwd\n\n" for level in range(1, 61)
    )
    + "See below."
)


@dataclass(eq=False)
class Message:
    """One mail."""

    id: str
    sent: datetime
    sender: str
    to: list[str]
    subject: str
    text: str
    cc: list[str] = field(default_factory=list)
    attachments: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=lambda: ["INBOX"])
    is_html: bool = False
    is_draft: bool = False
    dated: str | None = None  # what its header says, where no calendar has that


@dataclass(eq=False)
class Thread:
    """Mails that answer each other, oldest first."""

    id: str
    messages: list[Message]
    company_id: int | None = None
    contact_id: int | None = None
    trashed: bool = False


@dataclass
class Mailbox:
    """Everything that the admin of an organisation has received and sent."""

    organization: Organization
    threads: dict[str, Thread] = field(default_factory=dict)

    @classmethod
    def written(cls, seed: int, organization: Organization) -> "Mailbox":
        """The mailbox on the first day: two in three clients have written."""
        rng = Random(f"{seed}:{organization.slug}:gmail")  # noqa: S311 - a story, not a secret
        mailbox = cls(organization)
        author = Author(rng, organization)
        staff: dict[int, list[Contact]] = {}
        for contact in organization.contacts.values():
            if contact.company_id and contact.email:
                staff.setdefault(contact.company_id, []).append(contact)
        for company_id, people in staff.items():
            if rng.random() < 0.66:
                company = organization.companies[company_id]
                mailbox._converse(author, company, rng.choice(people), company.updated, rng.randint(1, 4))
        mailbox._plant_awkward(author)
        return mailbox

    def newest_first(self) -> list[Thread]:
        """As a search lists them."""
        return sorted(self.threads.values(), key=lambda thread: (thread.messages[-1].sent, thread.id), reverse=True)

    def day(self, start: datetime, rng: Random) -> dict[str, list[str]]:
        """What comes in, is answered, is labelled and is thrown away on a day."""
        author, end = Author(rng, self.organization), start + timedelta(hours=24)
        living = [thread for thread in self.newest_first() if not thread.trashed and thread.contact_id]
        rng.shuffle(living)
        report: dict[str, list[str]] = {"created": [], "bumped": [], "archived": []}
        for thread in living[:2]:
            contact = self.organization.contacts.get(thread.contact_id or 0)
            company = self.organization.companies.get(thread.company_id or 0)
            if contact and len(thread.messages) < MOST_REPLIES:
                reply = self._reply(author, thread, company, contact, moment(rng, start, end))
                report["created"].append(reply.id)
        for thread in living[2:4]:
            thread.messages[0].labels = ["INBOX", "STARRED"]
            report["bumped"].append(thread.messages[0].id)
        for thread in living[4:5]:
            thread.trashed = True
            report["archived"] += _ids(thread.messages)
        people = [contact for contact in self.organization.contacts.values() if contact.company_id and contact.email]
        for contact in rng.sample(people, min(2, len(people))):
            company = self.organization.companies.get(contact.company_id or 0)
            report["created"] += _ids(self._converse(author, company, contact, moment(rng, start, end), 0).messages)
        return report

    def _converse(
        self, author: Author, company: Company | None, contact: Contact, begun: datetime, replies: int
    ) -> Thread:
        """A client asks, and so many answers follow, each with what it answers below."""
        work = author.work(company)
        text = f"Hello,\n\n{author.fill(author.rng.choice(ASKED), company, work)}\n\n{self._signed(contact, company)}"
        message = Message(
            self._new_id(author.rng), begun, _address(contact), [self.organization.admin.email],
            work[0].upper() + work[1:], text,
        )  # fmt: skip
        if author.rng.random() < 0.2:
            message.attachments = [f"att-{author.rng.randrange(16**8):08x}"]
        thread = Thread(message.id, [message], contact.company_id, contact.id)
        self.threads[thread.id] = thread
        for _ in range(replies):
            sent = thread.messages[-1].sent + timedelta(minutes=author.rng.randint(5, 600))
            self._reply(author, thread, company, contact, min(sent, begun + timedelta(hours=20)))
        return thread

    def _reply(
        self, author: Author, thread: Thread, company: Company | None, contact: Contact, sent: datetime
    ) -> Message:
        """An answer, from whichever side is next, above the mail that it answers."""
        before, admin = thread.messages[-1], self.organization.admin
        ours = admin.email not in before.sender
        quoted = "\n".join(f"> {line}" for line in before.text.split("\n"))
        signed = SIGNED.format(name=admin.name, title="Office", house=self.organization.name)
        text = (
            f"{author.fill(author.rng.choice(ANSWERED), company)}\n\n"
            f"{signed if ours else self._signed(contact, company)}\n\n"
            f"On {before.sent:%a, %d %b %Y} at {before.sent:%H:%M}, {before.sender} wrote:\n\n{quoted}\n"
        )
        sender, to = f"{admin.name} <{admin.email}>", _address(contact)
        reply = Message(
            self._new_id(author.rng), max(sent, before.sent), sender if ours else to, [to if ours else admin.email],
            f"Re: {thread.messages[0].subject}", text,
        )  # fmt: skip
        thread.messages.append(reply)
        return reply

    def _signed(self, contact: Contact, company: Company | None) -> str:
        name = " ".join(part for part in (contact.first_name, contact.last_name) if part) or "The office"
        return SIGNED.format(name=name, title=contact.title or "", house=company.name if company else "")

    def _new_id(self, rng: Random) -> str:
        return f"{rng.randrange(16**15, 16**16):016x}"

    def _plant_awkward(self, author: Author) -> None:
        """Valid mail that has broken somebody's import once."""
        admin, rng = self.organization.admin, author.rng
        threads = [thread for thread in self.threads.values() if len(thread.messages) > 1]
        html, zeroed, invisible, hostile, drafted, *_ = threads
        html.messages[0].is_html = True
        paragraphs = "".join(f"<p>{line}</p>" for line in html.messages[0].text.split("\n") if line)
        html.messages[0].text = f"<html><body>{paragraphs}<blockquote>Old news</blockquote></body></html>"
        zeroed.messages[0].text = f"From an old system:\x00 the rest was lost.\n\n{zeroed.messages[0].text}"
        invisible.messages[0].text = f"Pass{ZERO_WIDTH}word hint {BIDI}.\n\n{invisible.messages[0].text}"
        hostile.messages[0].text = f"{INJECTION}\n\n{hostile.messages[0].text}"
        draft = Message(self._new_id(rng), drafted.messages[-1].sent, admin.email, [], "Re: not yet", "Not sent.")
        draft.is_draft = True
        drafted.messages.append(draft)
        sent = html.messages[0].sent
        for sender, to, subject, text in (
            ("Weekly <newsletter@news.example>", [admin.email], "This week", "<table><tr><td>Offers</td></tr></table>"),
            (admin.email, [user.email for user in self.organization.users], "Rota", "Who is in on Friday?"),
            ("office@list.example", EVERYBODY, "To all", "The gate is shut on Monday."),
            ("nobody", [admin.email], "", ""),
            ("Only A. Subject <only@subject.example>", [admin.email], "Call me back", ""),
            ("saw@workshop.example", [admin.email], "Everything that the saw has logged", LOG),
            ("a@b.example", [admin.email], "Fwd: Fwd: Fwd:", FORWARDS),
            ("joiner@post.example", [admin.email], "What you need to get in", f"Here: {', '.join(SECRETS)}"),
            *(("clock@post.example", [admin.email], f"Dated {day}", "Late again.") for day in NO_DAYS),
        ):
            message = Message(self._new_id(rng), sent, sender, to, subject, text)
            message.dated = subject.removeprefix("Dated ") if subject.startswith("Dated ") else None
            self.threads[message.id] = Thread(message.id, [message])
        self._write_long(rng, sent)
        trashed = Message(self._new_id(rng), sent, "spam@elsewhere.example", [admin.email], "Win", "Nothing.")
        self.threads[trashed.id] = Thread(trashed.id, [trashed], trashed=True)

    def _write_long(self, rng: Random, sent: datetime) -> None:
        """A thread that the server cuts: four of its last day are shown, and four more are not."""
        admin, other = self.organization.admin.email, "talker@post.example"
        days = [timedelta(days=-6 + number) for number in range(6)] + [timedelta(minutes=number) for number in range(8)]
        messages = [
            Message(
                self._new_id(rng), sent + day, *((other, [admin]) if number % 2 else (admin, [other])),
                "About the gate", f"Line {number} about the gate.",
            )
            for number, day in enumerate(days)
        ]  # fmt: skip
        messages[-2].sender = "Front desk"  # which has no address
        messages[-1].sender = "gatekeeper@post.example"  # whom the rest of the thread does not show
        self.threads[messages[0].id] = Thread(messages[0].id, messages)


def _ids(messages: Iterable[Message]) -> list[str]:
    return [message.id for message in messages if not message.is_draft]


def _address(contact: Contact) -> str:
    name = " ".join(part for part in (contact.first_name, contact.last_name) if part)
    return f'"{name}" <{contact.email}>' if name else str(contact.email)
