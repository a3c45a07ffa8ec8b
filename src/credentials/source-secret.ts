import type { CredentialSource, SecretCredential } from '../domain/credential.ts'

/** A client secret that was read with the configuration. */
export const secretSource = (secret: SecretCredential['secret'], method: SecretCredential['method']): CredentialSource => {
  const credential: SecretCredential = { kind: 'secret', secret, method }
  return { current: () => credential }
}

/** `client_auth` is an ordered list: the first source that has something is used. */
export const firstOf = (sources: readonly CredentialSource[]): CredentialSource => ({
  current: () => {
    for (const source of sources) {
      const credential = source.current()
      if (credential) return credential
    }
    return undefined
  },
})
