# A service that checks access tokens by itself: PyJWT with the published keys, and nothing else.
# Prints the claims; ends with 1 and the library's reason if it refuses the token.
import json
import ssl
import sys

import jwt

url, authorities, issuer, audience, token = sys.argv[1:]
trust = ssl.create_default_context(cafile=authorities)
keys = jwt.PyJWKClient(f"{url}/.well-known/jwks.json", ssl_context=trust)
try:
    key = keys.get_signing_key_from_jwt(token)
    required = ["iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp"]
    claims = jwt.decode(
        token,
        key.key,
        algorithms=["EdDSA"],
        issuer=issuer,
        audience=audience,
        options={"require": required},
    )
except jwt.PyJWTError as error:
    sys.exit(f"{type(error).__name__}: {error}")
print(json.dumps({"header": jwt.get_unverified_header(token), "claims": claims}))
