"""SSH to the servers that ``~/.ssh/known_hosts`` names; fsspec's own driver trusts whoever answers."""

from typing import NoReturn

import paramiko
from fsspec.implementations.sftp import SFTPFileSystem


class SshFileSystem(SFTPFileSystem):
    """Files on a server whose key is known.

    Raises
    ------
    PermissionError
        The server's key is not known, or another than the one known.
    """

    def _connect(self) -> None:
        self.client = paramiko.SSHClient()
        self.client.load_system_host_keys()
        self.client.set_missing_host_key_policy(_Refused())
        try:
            self.client.connect(self.host, **self.ssh_kwargs)
        except paramiko.BadHostKeyException as error:
            raise PermissionError(
                f"it answers with another key than the one in ~/.ssh/known_hosts ({error.key.fingerprint}): somebody "
                "may be listening; ask who runs it"
            ) from error
        self.ftp = self.client.open_sftp()


class _Refused(paramiko.MissingHostKeyPolicy):
    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> NoReturn:
        raise PermissionError(
            f"its key is not in ~/.ssh/known_hosts ({key.fingerprint}): connect to it once with ssh, which asks for it"
        )
