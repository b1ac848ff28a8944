"""tuspy sends a file to an address that exists already, and goes on after every
break. The address and the token come by the environment: a token in the arguments
could be read by everybody on the machine.

    UPLOAD_URL=… UPLOAD_TOKEN=… python upload.py FILE CHUNK_BYTES

The last line is JSON: where it began, where it ended, how often it tried again.
"""

import json
import os
import sys

from tusclient.client import TusClient
from tusclient.exceptions import TusUploadFailed
from tusclient.uploader import Uploader


class Counting(Uploader):
    """Counts its own retries, which tuspy does not tell."""

    tried_again = 0

    def _retry_or_cry(self, error):
        status = getattr(error, "status_code", None)
        # An answer with 4xx means that the server wants something else; but 409, that
        # a request of before the break came late, after this one had asked.
        if status is not None and 400 <= status < 500 and status != 409:
            raise error
        self.tried_again += 1
        super()._retry_or_cry(error)


def main() -> None:
    path, chunk = sys.argv[1:]
    url = os.environ["UPLOAD_URL"]
    client = TusClient(url, headers={"Authorization": f"Bearer {os.environ['UPLOAD_TOKEN']}"})
    uploader = Counting(
        path,
        url=url,
        client=client,
        chunk_size=int(chunk),
        retries=20,
        retry_delay=0,
    )
    began = uploader.offset
    try:
        uploader.upload()
    except TusUploadFailed as error:
        sys.exit(f"{error} {error.status_code} {error.response_content}")
    print(json.dumps({"began": began, "ended": uploader.offset, "retries": uploader.tried_again}))


main()
