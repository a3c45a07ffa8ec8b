import { clientCredentialsGrant, refreshTokenGrant } from 'openid-client'
import type { Credential, CredentialVerdict } from '../domain/credential.ts'
import type { ProviderProfile } from '../domain/provider.ts'
import { attempt } from './attempts.ts'
import type { AttemptDeps } from './attempts.ts'
import type { Room } from './room.ts'

/** Nobody ever issued it, and whoever finds it in a log of the provider can read what it was. */
const NO_REFRESH_TOKEN = 'sallyport-credential-probe'

export interface ProbeDeps {
  readonly room: Room
  readonly attempt: AttemptDeps
  readonly kind: ProviderProfile['credential']['probe']
}

/** Spec §6: the token endpoint, asked for as little as possible with this very credential. Bounded; a provider that is away is no verdict. */
export const probeCredential = async ({ room, attempt: deps, kind }: ProbeDeps, credential: Credential): Promise<CredentialVerdict> => {
  if (kind === 'none') return { kind: 'none', cause: 'no-probe' }
  const found = await room.discovery.get()
  if (found.kind === 'unavailable') return { kind: 'none', cause: found.cause }
  let verdict: CredentialVerdict = { kind: 'none', cause: 'not-asked' }
  const source = { current: () => credential, report: (_: Credential, seen: CredentialVerdict) => void (verdict = seen) }
  const scope = room.client.profile.credential.probeScope?.replace('{client_id}', room.client.clientId)
  await attempt({ ...deps, source }, found.metadata, room.timeoutMs, (configuration) =>
    kind === 'refresh-token'
      ? refreshTokenGrant(configuration, NO_REFRESH_TOKEN)
      : clientCredentialsGrant(configuration, scope === undefined ? {} : { scope }),
  )
  return verdict
}
