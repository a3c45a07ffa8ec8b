import type { AuditSink } from '../domain/audit-event.ts'
import type { CredentialAdmin, CredentialId, CredentialOrdered, CredentialOverview, CredentialVerdict } from '../domain/credential.ts'

export interface CredentialAdminDeps {
  readonly credentials: CredentialAdmin
  readonly audit: AuditSink
}

export type CredentialFound = { readonly kind: 'found'; readonly id: CredentialId } | { readonly kind: 'unknown' | 'ambiguous' }

const wordOf = (ordered: CredentialOrdered | 'ambiguous'): string => (typeof ordered === 'string' ? ordered : ordered.outcome)

/** What an operator may do about the gateway's own credentials. Each command is an audit event; none answers with anything secret. */
export const credentialAdmin = ({ credentials, audit }: CredentialAdminDeps) => {
  const record = (requestId: string, command: string, outcome: string): void =>
    audit.record({ requestId, event: 'admin.command', command: `credentials.${command}`, outcome })

  /** By its name or the beginning of it, eight characters at least, or by a thumbprint as portals show it: hexadecimal, colons or not. */
  const find = (name: string): CredentialFound => {
    const hex = name.replaceAll(':', '').toLowerCase()
    const isHex = /^[0-9a-f]{8,64}$/.test(hex)
    const found = credentials
      .overview()
      .credentials.filter(
        ({ id, thumbprints }) =>
          id.startsWith(name) ||
          (isHex && thumbprints !== undefined && [thumbprints.sha256, thumbprints.sha1].some((one) => one?.startsWith(hex) === true)),
      )
    const [only] = found
    if (!only || name.length < 8) return { kind: 'unknown' }
    return found.length > 1 ? { kind: 'ambiguous' } : { kind: 'found', id: only.id }
  }

  return {
    status: (requestId: string): CredentialOverview => {
      record(requestId, 'status', 'ok')
      return credentials.overview()
    },
    verify: async (requestId: string, name: string): Promise<CredentialVerdict | 'unknown' | 'ambiguous'> => {
      const found = find(name)
      const verdict = found.kind === 'found' ? await credentials.verify(found.id) : found.kind
      record(requestId, 'verify', typeof verdict === 'string' ? verdict : verdict.kind)
      return verdict
    },
    promote: async (requestId: string, name: string) => {
      const found = find(name)
      const outcome = found.kind === 'found' ? await credentials.promote(found.id) : found.kind
      record(requestId, 'promote', wordOf(outcome))
      return outcome
    },
    /** @param force also the last usable one, after which nobody signs in until another one is there */
    withdraw: async (requestId: string, name: string, force: boolean) => {
      const found = find(name)
      const outcome = found.kind === 'found' ? await credentials.withdraw(found.id, force) : found.kind
      record(requestId, 'withdraw', wordOf(outcome))
      return outcome
    },
  }
}
