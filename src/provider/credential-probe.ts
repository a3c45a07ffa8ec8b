import { clientCredentialsGrant, refreshTokenGrant } from 'openid-client'
import type { Configuration } from 'openid-client'
import type { Credential, CredentialVerdict } from '../domain/credential.ts'
import type { ProviderProfile } from '../domain/provider.ts'
import { attempt, wasDropped } from './attempts.ts'
import type { AttemptDeps } from './attempts.ts'
import type { Room } from './room.ts'

/** Nobody ever issued it, and whoever finds it in a log of the provider can read what it was. */
const NO_REFRESH_TOKEN = 'sallyport-credential-probe'

export interface ProbeDeps {
  readonly room: Room
  readonly attempt: AttemptDeps
  readonly kind: ProviderProfile['credential']['probe']
  /** Asked right before it is sent: it may have been withdrawn while the metadata was waited for. */
  readonly mayBeSent: () => boolean
}

/**
 * Spec §6: the token endpoint, asked for as little as possible with this very credential. Bounded; a provider that is away is no verdict. One that drops the connection may be
 * away or may not take the client certificate: where the one in use is accepted right afterwards, it was the certificate.
 */
export const probeCredential = async (
  { room, attempt: deps, kind, mayBeSent }: ProbeDeps,
  credential: Credential,
): Promise<CredentialVerdict> => {
  if (kind === 'none') return { kind: 'none', cause: 'no-probe' }
  const found = await room.discovery.get()
  if (found.kind === 'unavailable') return { kind: 'none', cause: found.cause }
  if (!mayBeSent()) return { kind: 'none', cause: 'withdrawn' }
  const scope = room.client.profile.credential.probeScope?.replace('{client_id}', room.client.clientId)
  const ask = async (one: Credential): Promise<CredentialVerdict> => {
    let verdict: CredentialVerdict = { kind: 'none', cause: 'not-asked' }
    const source = { current: () => one, report: (_: Credential, seen: CredentialVerdict) => void (verdict = seen) }
    const run = (configuration: Configuration) =>
      kind === 'refresh-token'
        ? refreshTokenGrant(configuration, NO_REFRESH_TOKEN)
        : clientCredentialsGrant(configuration, scope === undefined ? {} : { scope })
    await attempt({ ...deps, source }, found.metadata, room.timeoutMs, run, true)
    return verdict
  }
  const verdict = await ask(credential)
  if (verdict.kind !== 'none' || !wasDropped(credential, verdict.cause)) return verdict
  const other = [deps.source.current(), ...(deps.source.fallbacks?.() ?? [])].find((one) => one && one !== credential)
  return other && (await ask(other)).kind === 'accepted' ? { kind: 'rejected', code: verdict.cause } : verdict
}
