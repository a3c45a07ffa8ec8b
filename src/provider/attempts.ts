import { performance } from 'node:perf_hooks'
import { None } from 'openid-client'
import type { Configuration } from 'openid-client'
import type { Credential, CredentialSource, CredentialVerdict } from '../domain/credential.ts'
import type { ProviderProfile } from '../domain/provider.ts'
import { millis } from '../kernel/time.ts'
import type { Clock, Millis } from '../kernel/time.ts'
import { callProvider } from './call.ts'
import type { Call, CallDeps } from './call.ts'
import { clientAuthOf } from './client-auth.ts'
import { verdictOf } from './credential-verdict.ts'
import type { Metadata } from './discovery.ts'
import type { BoundedFetch } from './fetch.ts'

export interface AttemptDeps {
  readonly source: CredentialSource
  readonly profile: ProviderProfile
  readonly clientId: string
  readonly clock: Clock
  /** The connections a credential is presented on: those of a client certificate are its own. */
  readonly fetchFor: (credential: Credential) => BoundedFetch
  /** One rejected credential was followed by another one, in the same request. */
  readonly onFallback: () => void
  /** A connection that presented a client certificate was dropped without a word, with a request on it that must not go out twice. */
  readonly onDropped?: (credential: Credential) => void
}

/** Less than this is no time to ask again in. */
const TRY_AGAIN_MS = 200
/** How often one request may present a credential. */
const TRIES_MAX = 4
/** What was accepted so lately is known to this provider, if not to the server that was asked just now. */
const LATELY_MS = 60_000

/**
 * One request, and where the provider does not take the credential, the same one again with the next: client authentication comes before anything is
 * spent (RFC 6749 §3.2.1), and in its answer alone is that certain. Each one has its own assertion. Whatever else comes back is the answer. Where there are several
 * and none was taken, those that were accepted a moment ago are tried once more: during a rotation one server may know neither the old nor the new one.
 *
 * A server that does not take a client certificate may also drop the connection, under TLS 1.3 after the client took the handshake for done: nobody knows then whether
 * the request was read, or why. One that does no harm twice goes out again with another one; if that is accepted, it was the certificate.
 * @param isRepeatable nothing is spent by it, however often it arrives
 */
export const attempt = async (
  deps: AttemptDeps,
  metadata: Metadata,
  budgetMs: Millis,
  run: (configuration: Configuration) => Promise<unknown>,
  isRepeatable = false,
): Promise<Call> => {
  const startedAt = performance.now()
  const active = deps.source.current()
  if (!active) return NOTHING_TO_SEND
  const tried = [active]
  const dropped: { readonly credential: Credential; readonly cause: string }[] = []
  let first: Call | undefined
  for (let credential = active, leftMs = budgetMs; ; ) {
    const { call, verdict } = await once(deps, credential, metadata, leftMs, run)
    first ??= call
    const isDropped = verdict.kind === 'none' && wasDropped(credential, verdict.cause)
    if (isDropped) dropped.push({ credential, cause: verdict.cause })
    if (isDropped && !isRepeatable) deps.onDropped?.(credential)
    if (verdict.kind !== 'rejected' && !(isDropped && isRepeatable)) {
      // Accepted after it was dropped itself: then it was the server, each time.
      if (verdict.kind === 'accepted' && !dropped.some((one) => one.credential === credential))
        for (const one of dropped) deps.source.report?.(one.credential, { kind: 'rejected', code: one.cause })
      return call
    }
    const next = tried.length < TRIES_MAX ? nextOf(deps.source, tried) : undefined
    leftMs = millis(budgetMs - (performance.now() - startedAt))
    if (!next || leftMs < TRY_AGAIN_MS) return first
    tried.push(next)
    deps.onFallback()
    credential = next
  }
}

/** Reset, or closed before a word of an answer. */
const DROPPED: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'])
/** It may have been the certificate that was presented on the connection. */
export const wasDropped = (credential: Credential, cause: string): boolean => credential.kind === 'tls' && DROPPED.has(cause)

/** When each was last accepted, by a clock that only goes forward. */
const acceptedAt = new WeakMap<Credential, number>()

/** Asked anew each time: the one that is needed may have been loaded, or withdrawn, while the one before travelled. */
const nextOf = (source: CredentialSource, tried: readonly Credential[]): Credential | undefined => {
  if (!source.fallbacks) return undefined
  const all = [source.current(), ...source.fallbacks()].filter((one) => one !== undefined)
  if (all.length < 2) return all.find((one) => !tried.includes(one))
  const isKnown = (one: Credential): boolean => performance.now() - (acceptedAt.get(one) ?? -LATELY_MS) < LATELY_MS
  return all.find((one) => !tried.includes(one)) ?? all.find((one) => isKnown(one) && tried.filter((other) => other === one).length === 1)
}

/** A grant that carries all its proof in itself and may go to somebody else's endpoint: none of our credentials is sent, and the answer says nothing of them. */
export const attemptWithout = (
  { clientId, clock, fetch }: Pick<AttemptDeps, 'clientId' | 'clock'> & { readonly fetch: BoundedFetch },
  metadata: Metadata,
  budgetMs: Millis,
  run: (configuration: Configuration) => Promise<unknown>,
): Promise<Call> => callProvider({ fetch, clock, clientId, clientAuth: None() }, metadata, budgetMs, run)

const once = async (
  deps: AttemptDeps,
  credential: Credential,
  metadata: Metadata,
  budgetMs: Millis,
  run: (configuration: Configuration) => Promise<unknown>,
): Promise<{ readonly call: Call; readonly verdict: CredentialVerdict }> => {
  const { clock, clientId, profile } = deps
  const means = meansOf(deps, credential, metadata)
  const endpoints = credential.kind === 'tls' ? aliased(metadata) : metadata
  const call = means ? await callProvider({ ...means, clock, clientId }, endpoints, budgetMs, run) : NOTHING_TO_SEND
  const verdict = verdictOf(call.exchange, profile, clock.now())
  if (verdict.kind === 'accepted') acceptedAt.set(credential, performance.now())
  deps.source.report?.(credential, verdict)
  return { call, verdict }
}

const NOTHING_TO_SEND: Call = { exchange: { kind: 'failed', sent: 'not-sent', cause: 'no-credential' }, accepted: false }

/** undefined: it cannot be presented. A key that is not of its algorithm, or a chain that TLS does not load. */
const meansOf = (
  { profile, fetchFor }: AttemptDeps,
  credential: Credential,
  metadata: Metadata,
): Pick<CallDeps, 'fetch' | 'clientAuth'> | undefined => {
  try {
    const clientAuth = clientAuthOf(credential, profile.assertion, metadata.assertionEndpoint ?? metadata.tokenEndpoint)
    return { clientAuth, fetch: fetchFor(credential) }
  } catch {
    return undefined
  }
}

/** RFC 8705 §5: where the provider asks for client certificates. Discovery was for the others. */
const aliased = (metadata: Metadata): Metadata => ({
  ...metadata,
  tokenEndpoint: metadata.mtls.tokenEndpoint ?? metadata.tokenEndpoint,
  revocationEndpoint: metadata.mtls.revocationEndpoint ?? metadata.revocationEndpoint,
  parEndpoint: metadata.mtls.parEndpoint ?? metadata.parEndpoint,
})
