"""Secrets, read from where the settings say they are kept, when they are needed and not before."""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from dialer.errors import SettingsError
from dialer.settings import PbxSettings, Reached


def secret(settings: Reached, name: str, which: str, environ: Mapping[str, str] | None = None) -> SecretStr | None:
    """Read the secret `which` ("token", "webhook_secret", ...) of PBX or directory `name` from where it is kept.

    None when no reference is set; SettingsError when the reference leads nowhere.
    """
    environ = os.environ if environ is None else environ
    place = f"{'pbx' if isinstance(settings, PbxSettings) else 'directory'}.{name}.{which}"
    variable = getattr(settings, f"{which}_env", "")
    file = getattr(settings, f"{which}_file", "")
    if variable:
        value = environ.get(variable, "").strip()
        if not value:
            raise SettingsError(
                f"{place}_env names the environment variable {variable}, which is not set: "
                f"export {variable}=... before starting"
            )
        return SecretStr(value)
    if file:
        try:
            value = Path(file).read_text("utf-8").strip()
        except OSError as exc:
            raise SettingsError(f"{place}_file: cannot read {file}: {exc.strerror}") from None
        if not value:
            raise SettingsError(f"{place}_file: {file} is empty")
        return SecretStr(value)
    return None
