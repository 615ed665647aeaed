# A program that calls the API with a bearer token: by requests alone, and by oauthlib's session, which
# refuses to send a token without TLS. Prints the two statuses.
import json
import sys

import requests
from requests_oauthlib import OAuth2Session

url, authorities, token = sys.argv[1:]


class Bearer(requests.auth.AuthBase):
    def __call__(self, request):
        request.headers["Authorization"] = f"Bearer {token}"
        return request


plain = requests.get(f"{url}/api/v1/me/sessions", auth=Bearer(), verify=authorities)
session = OAuth2Session(token={"access_token": token, "token_type": "Bearer"})
oauth = session.get(f"{url}/api/v1/me/sessions", verify=authorities)
challenge = plain.headers.get("WWW-Authenticate")
print(json.dumps({"statuses": [plain.status_code, oauth.status_code], "challenge": challenge}))
