import type { ClientAuthSettings, ProviderSettings } from '../config/settings.ts'
import { createCredentialSet } from '../credentials/credential-set.ts'
import type { CredentialSet } from '../credentials/credential-set.ts'
import type { Source } from '../credentials/loaded.ts'
import { rotationSettings } from '../credentials/settings.ts'
import { assertionFileSource } from '../credentials/source-assertion-file.ts'
import { certificateDirSource, certificateFileSource } from '../credentials/source-certificate-file.ts'
import { jwkFileSource } from '../credentials/source-jwk-file.ts'
import { secretFileSource } from '../credentials/source-secret-file.ts'
import { secretSource } from '../credentials/source-secret.ts'
import type { NameOf } from '../credentials/source-secret.ts'
import { createWords } from '../credentials/words.ts'
import type { CredentialBoard } from '../domain/credential.ts'
import type { ProviderProfile } from '../domain/provider.ts'
import type { Sealer } from '../domain/sealer.ts'
import type { FileWatch } from '../kernel/file-watch.ts'
import { assertNever } from '../kernel/assert.ts'
import type { Clock } from '../kernel/time.ts'
import type { Telemetry } from './telemetry.ts'

export interface CredentialsDeps extends Pick<Telemetry, 'log' | 'metrics' | 'audit'> {
  readonly app: string
  readonly provider: string
  /** Names this replica. */
  readonly replica: string
  readonly profile: ProviderProfile
  readonly publicUrl: URL
  readonly settings: ProviderSettings
  readonly board: CredentialBoard
  readonly sealer: Sealer
  readonly watch: FileWatch
  readonly clock: Clock
}

/** What we prove ourselves with at one provider. Its files have been read; nobody was asked. */
export const wireCredentials = async (deps: CredentialsDeps): Promise<CredentialSet> => {
  const { settings, sealer, clock, app, provider } = deps
  const nameOf: NameOf = (...parts) => sealer.index('credential', app, provider, ...parts)
  const probes = probeOf(settings, deps.profile) !== 'none'
  return createCredentialSet({
    ...deps,
    sources: settings.clientAuth.map((auth) => sourceOf(auth, clock, nameOf)),
    settings: rotationSettings({ ...settings.credentialRotation, probes }),
    registeredAt: addressed(deps.profile.credential.registeredAt, deps.publicUrl),
    words: createWords({
      board: deps.board,
      sign: (...parts) => sealer.index(...parts),
      scope: [app, provider, settings.issuer, settings.clientId],
      clock,
    }),
  })
}

type Places = ProviderProfile['credential']['registeredAt']
const addressed = (places: Places, { origin }: URL): Places =>
  Object.fromEntries(Object.entries(places).map(([kind, place]) => [kind, place.replaceAll('{public_url}', origin)])) as Places

/** `provider.credential_rotation.probe`, or what the profile knows. */
export const probeOf = ({ credentialRotation: { probe } }: ProviderSettings, { credential }: ProviderProfile) =>
  probe === 'auto' ? credential.probe : probe

const sourceOf = (auth: ClientAuthSettings, clock: Clock, nameOf: NameOf): Source => {
  switch (auth.kind) {
    case 'certificate-dir':
      return certificateDirSource(auth)
    case 'certificate-file':
      return certificateFileSource(auth)
    case 'jwk-file':
      return jwkFileSource(auth.file)
    case 'assertion-file':
      return assertionFileSource(auth.file, clock, nameOf)
    case 'secret-file':
      return secretFileSource(auth.file, auth.method, nameOf)
    case 'secret':
      return secretSource(auth.secret, auth.method, nameOf)
    default:
      return assertNever(auth)
  }
}
