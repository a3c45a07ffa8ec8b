import type { CredentialId, FederatedCredential } from '../domain/credential.ts'
import { Secret } from '../kernel/secret.ts'
import { fromNumericDate, millis } from '../kernel/time.ts'
import type { Clock, Instant } from '../kernel/time.ts'
import { faulty, seen } from './loaded.ts'
import type { Source } from './loaded.ts'
import { readText } from '../kernel/read-file.ts'
import type { NameOf } from './source-secret.ts'

/** A swap takes a moment, in which the file may be short or away. */
const READ_AGAIN_MS = millis(100)
/** An assertion that ends while it travels is no use. */
const SPARE_MS = 5_000
const JWT = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/

interface Assertion {
  readonly token: Secret<'federated-assertion'>
  readonly endsAt: Instant
  /** Issuer, subject and audience: what the provider knows it by. */
  readonly identity: readonly string[]
}

/** What one issuer signed for one subject and one audience: the newest that was good, and who uses it. */
interface Identity {
  readonly id: CredentialId
  readonly credential: FederatedCredential
  last: Assertion
}

/**
 * `assertion_file`: a JWT that somebody else signs for us and keeps fresh (Kubernetes, SPIFFE, another provider). Read on every use. A file that is short,
 * empty or away for a moment does no harm: the last good one is used until it ends. So is the one in use after another subject's was put in its place.
 */
export const assertionFileSource = (file: string, clock: Clock, nameOf: NameOf): Source => {
  const identities = new Map<CredentialId, Identity>()
  let latest: Identity | undefined

  const isFresh = ({ endsAt }: Assertion): boolean => clock.now() < endsAt - SPARE_MS
  const readNow = async (): Promise<Assertion | undefined> => {
    const read = parse((await readText(file)) ?? '')
    if (read && isFresh(read)) latest = take(read)
    return read
  }
  const take = (assertion: Assertion): Identity => {
    // Another subject is another credential; the same one renewed is not.
    const id = nameOf('federated', ...assertion.identity) as CredentialId
    const identity = identities.get(id) ?? { id, credential: { kind: 'federated', read: () => newestOf(id), file }, last: assertion }
    identity.last = assertion
    for (const [name, { last }] of identities) if (!isFresh(last)) identities.delete(name)
    identities.set(id, identity)
    return identity
  }
  const newestOf = async (id: CredentialId): Promise<Secret<'federated-assertion'> | undefined> => {
    for (const isLastTry of [false, true]) {
      await readNow()
      const last = identities.get(id)?.last
      if (last && isFresh(last)) return last.token
      if (!isLastTry) await clock.sleep(READ_AGAIN_MS)
    }
    return undefined
  }

  return {
    setting: 'assertion_file',
    place: file,
    isStaged: true,
    look: async () => {
      const seenNow = await readNow()
      if (!latest) return faulty(file, seenNow ? 'assertion-expired' : 'assertion-unreadable')
      const { id, credential, last } = latest
      const fault = seenNow ? 'assertion-expired' : 'assertion-unreadable'
      return seen(
        // Its end is told once it has come: each use reads the file, which may be newer than this look.
        [{ id, credential, file, notBefore: undefined, notAfter: isFresh(last) ? undefined : last.endsAt }],
        seenNow && isFresh(seenNow) ? [] : [{ file, fault }],
      )
    },
  }
}

/** Not verified: that is the provider's part. Read as far as needed to know what it is and how long it lasts. */
const parse = (text: string): Assertion | undefined => {
  const token = text.trim()
  const [, header = '', payload = '', signature = ''] = JWT.exec(token) ?? []
  if (payload === '') return undefined
  try {
    const { alg } = Object(JSON.parse(Buffer.from(header, 'base64url').toString('utf8'))) as { readonly alg?: unknown }
    // The end of a file comes last: what was cut short there has all its claims.
    if (!isWhole(String(alg), signature)) return undefined
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))
    if (typeof claims !== 'object' || claims === null) return undefined
    const exp: unknown = Reflect.get(claims, 'exp')
    if (typeof exp !== 'number' || !Number.isFinite(exp)) return undefined
    const identity = ['iss', 'sub', 'aud'].map((name) => JSON.stringify(Reflect.get(claims, name) ?? null))
    return { token: Secret.of('federated-assertion', token), endsAt: fromNumericDate(exp), identity }
  } catch {
    return undefined
  }
}

/** RFC 7518 §3.4, RFC 8037 §3.1: so many bytes, always. RSA signs as long as its key is, which comes in steps of 512 bits. */
const SIGNATURE_BYTES: Readonly<Record<string, number>> = { ES256: 64, ES384: 96, ES512: 132, EdDSA: 64, Ed25519: 64 }
const RSA_BYTES_MIN = 256
const isWhole = (algorithm: string, signature: string): boolean => {
  const bytes = Math.floor((signature.length * 3) / 4)
  if (/^[RP]S\d{3}$/.test(algorithm)) return bytes >= RSA_BYTES_MIN && bytes % 64 === 0
  return bytes === (SIGNATURE_BYTES[algorithm] ?? bytes)
}
