import type { webcrypto } from 'node:crypto'
import { ClientSecretBasic, ClientSecretPost, modifyAssertion, PrivateKeyJwt, TlsClientAuth } from 'openid-client'
import type { ClientAuth } from 'openid-client'
import type { AssertionAlgorithm, CertificateCredential, Credential, FederatedCredential, JwkCredential } from '../domain/credential.ts'
import type { AssertionFacts } from '../domain/profile.ts'
import { assertNever } from '../kernel/assert.ts'
import { keyIdOf } from '../kernel/key-id.ts'

/** Thrown into openid-client before anything is sent; the call is then `not-sent`. */
export class NoCredentialError extends Error {}

/** How one credential is put into one request. */
export const clientAuthOf = (credential: Credential, facts: AssertionFacts, tokenEndpoint: URL): ClientAuth => {
  switch (credential.kind) {
    case 'secret':
      return credential.method === 'client_secret_basic'
        ? ClientSecretBasic(credential.secret.reveal())
        : ClientSecretPost(credential.secret.reveal())
    case 'certificate': {
      const algorithm = credential.algorithm === 'PS256' ? facts.rsa : credential.algorithm
      return assertionAuth(credential.privateKey, algorithm, namesOf(credential, facts), facts, tokenEndpoint)
    }
    case 'jwk':
      return assertionAuth(credential.privateKey, credential.algorithm, { kid: credential.kid }, facts, tokenEndpoint)
    case 'federated':
      return federatedAuth(credential)
    case 'tls':
      return TlsClientAuth() // RFC 8705 §2: the body names the client, the connection proves it
    default:
      return assertNever(credential)
  }
}

/** How the header names the key of a certificate (RFC 7515 §4.1.4 to §4.1.8). */
const namesOf = (credential: CertificateCredential, { key }: AssertionFacts): Readonly<Record<string, string | readonly string[]>> => {
  switch (key) {
    case 'kid':
      return { kid: keyIdOf(credential.privateKey) }
    case 'x5t#S256':
      return { 'x5t#S256': credential.thumbprint }
    case 'x5t':
      return { x5t: credential.sha1Thumbprint }
    case 'x5c':
      // A provider that trusts a subject and an issuer wants the chain; one that knows the certificate finds it by the thumbprint.
      return { 'x5t#S256': credential.thumbprint, x5c: credential.chain }
    default:
      return assertNever(key)
  }
}

const IMPORT: Readonly<Record<AssertionAlgorithm, Parameters<CertificateCredential['privateKey']['toCryptoKey']>[0]>> = {
  PS256: { name: 'RSA-PSS', hash: 'SHA-256' },
  ES256: { name: 'ECDSA', namedCurve: 'P-256' },
  EdDSA: { name: 'Ed25519' },
  RS256: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
}
/** One import per key object and algorithm, kept as long as the key is. */
const imported = new WeakMap<JwkCredential['privateKey'], Map<AssertionAlgorithm, webcrypto.CryptoKey>>()

const cryptoKey = (privateKey: JwkCredential['privateKey'], algorithm: AssertionAlgorithm): webcrypto.CryptoKey => {
  const known = imported.get(privateKey) ?? new Map<AssertionAlgorithm, webcrypto.CryptoKey>()
  imported.set(privateKey, known)
  const key = known.get(algorithm) ?? privateKey.toCryptoKey(IMPORT[algorithm], false, ['sign'])
  known.set(algorithm, key)
  return key
}

/** RFC 7523 §3: one audience as a string, and a fresh `jti` each time (openid-client's default), because some providers take none twice. */
const assertionAuth = (
  privateKey: JwkCredential['privateKey'],
  algorithm: AssertionAlgorithm,
  names: Readonly<Record<string, string | readonly string[]>>,
  { audience, type, lifetimeSeconds }: AssertionFacts,
  tokenEndpoint: URL,
): ClientAuth =>
  PrivateKeyJwt(cryptoKey(privateKey, algorithm), {
    [modifyAssertion]: (header, payload) => {
      header['typ'] = type
      header['alg'] = algorithm // openid-client says Ed25519 (RFC 9864), which few providers know yet
      for (const [member, value] of Object.entries(names)) header[member] = typeof value === 'string' ? value : [...value]
      if (audience === 'token-endpoint') payload['aud'] = tokenEndpoint.href
      payload['exp'] = Number(payload['iat']) + lifetimeSeconds
    },
  })

/** RFC 7523 §2.2, the assertion as whoever issued it wrote it. */
const federatedAuth =
  ({ read }: FederatedCredential): ClientAuth =>
  async (_as, client, body) => {
    const assertion = await read()
    if (!assertion) throw new NoCredentialError()
    body.set('client_id', client.client_id)
    body.set('client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
    body.set('client_assertion', assertion.reveal())
  }
