"""VOIspeed's directory: single contacts, and an import."""

import json
from collections.abc import Callable

import pytest

from dialer.errors import OutcomeUnknown, PbxRefused
from dialer.pbx.voispeed import VoispeedPbx
from dialer.pbx.voispeed_phonebook import Contact
from tests.pbx import scripted
from tests.pbx.conftest import last_asked
from tests.pbx.scripted import ScriptedServer, reply

Open = Callable[..., VoispeedPbx]


# the directory --------------------------------------------------------------------------------------------


def test_contacts_are_added_changed_deleted_and_found(server: ScriptedServer, voispeed: VoispeedPbx) -> None:
    book = voispeed.phonebook
    server.now = reply("<result><outcome>0</outcome><contact_id>77</contact_id></result>")
    assert book.add_phonebook(Contact(name="Ada", numoffice="+39 06/123-456", email="ada@x.test")) == "77"
    assert last_asked(server) == {
        "service": "add_phonebook",
        "name": "Ada",
        "numoffice": "+3906123456",
        "email": "ada@x.test",
    }
    server.now = reply("<result><outcome>0</outcome></result>")
    book.update_phonebook("77", Contact(surname="Rossi"))
    assert last_asked(server) == {"service": "update_phonebook", "contact_id": "77", "surname": "Rossi"}
    book.delete_phonebook("77")
    assert last_asked(server) == {"service": "delete_phonebook", "contact_id": "77"}
    book.delete_phonebook(app_name="HBO", external_contact_id="contact-1")
    assert last_asked(server) == {"service": "delete_phonebook", "app_name": "HBO", "external_contact_id": "contact-1"}
    for wrong in (lambda: book.delete_phonebook(), lambda: book.delete_phonebook("7 or 1=1")):
        with pytest.raises(PbxRefused):
            wrong()
    server.now = scripted.usual
    found = book.get_phonebook("Fring & Co")
    assert last_asked(server) == {"service": "get_phonebook", "search": "Fring & Co"}
    assert [(entry.name, entry.mobile, entry.is_favourite) for entry in found] == [
        ("Gustavo", "3339876543", True),
        ("Walter", "", False),
    ]


def test_field_names_of_the_directory_are_configuration(server: ScriptedServer, open_voispeed: Open) -> None:
    server.now = reply("<result><outcome>0</outcome><contact_id>77</contact_id></result>")
    open_voispeed(extra={"phonebook_numoffice": "office"}).phonebook.add_phonebook(Contact(numoffice="0733123123"))
    assert last_asked(server) == {"service": "add_phonebook", "office": "0733123123"}


def test_a_contact_taken_without_an_id_is_an_unknown_outcome(server: ScriptedServer, voispeed: VoispeedPbx) -> None:
    with pytest.raises(OutcomeUnknown):
        voispeed.phonebook.add_phonebook(Contact(name="Ada"))


def test_an_import_is_a_post_with_one_part_of_json(server: ScriptedServer, voispeed: VoispeedPbx) -> None:
    contacts = [
        Contact(name="Gustavo", nummobile="333 9876543", uc_app_name="HBO", uc_external_id="contact-1"),
        Contact(name="Niccolò", ext_info=(("Sale", "1000 EUR"),), uc_app_name="HBO", uc_external_id="contact-2"),
    ]
    result = voispeed.phonebook.phonebook_import_sync(contacts, verbose=True)
    request = server.requests[-1]
    assert last_asked(server) == {"service": "phonebook_import_sync", "verbose_output": "1"}
    assert request.method == "POST"
    assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert request.body.count(b"Content-Disposition: form-data") == 1
    head, _, rest = request.body.partition(b"\r\n\r\n")
    assert b'name="contacts"' in head
    assert json.loads(rest.rsplit(b"\r\n--", 1)[0]) == [
        {"name": "Gustavo", "nummobile": "3339876543", "uc_app_name": "HBO", "uc_external_id": "contact-1"},
        {
            "name": "Niccolò",
            "uc_app_name": "HBO",
            "uc_external_id": "contact-2",
            "ext_info": [{"caption": "Sale", "value": "1000 EUR"}],
        },
    ]
    assert (result.processed, result.skipped) == (2, 1)
    assert [(done.external_id, done.contact_id, done.act, done.info) for done in result.contacts] == [
        ("contact-1", "501", "insert", ""),
        ("contact-2", "502", "update", "number cleaned"),
    ]
