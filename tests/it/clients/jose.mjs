// A service that checks access tokens by itself: jose with the published keys, and nothing else.
// Prints the claims; ends with 1 and the library's code if it refuses the token.
import { webcrypto } from 'node:crypto';

// Older versions of Node.js have it under this name only.
globalThis.crypto ??= webcrypto;
const { createRemoteJWKSet, jwtVerify } = await import('jose');

const [url, issuer, audience, token] = process.argv.slice(2);
const keys = createRemoteJWKSet(new URL('/.well-known/jwks.json', url));
try {
  const { payload, protectedHeader } = await jwtVerify(token, keys, {
    issuer,
    audience,
    algorithms: ['EdDSA'],
    typ: 'at+jwt',
    requiredClaims: ['sub', 'sid', 'jti', 'iat', 'nbf', 'exp'],
  });
  console.log(JSON.stringify({ header: protectedHeader, claims: payload }));
} catch (error) {
  console.error(error.code ?? error);
  process.exit(1);
}
