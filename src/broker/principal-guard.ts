import type { AccessToken } from '../domain/token.ts'
import type { Refused } from './renewal.ts'

/** `check` of the provider room and of this one for a token that stands for somebody else. */
export const PRINCIPAL_CHECK = 'access-token-principal'

/**
 * Spec §1, rule 3: an application's token is never sent on a user's route, nor a user's on an application's. Asked once, when a token is issued, and
 * answered by what the token says of itself; one that says nothing passes, for then its grant is all there is to go by.
 */
export const isMismatch = (access: AccessToken, principal: 'user' | 'app'): boolean =>
  access.standsFor !== undefined && (access.standsFor === 'application') !== (principal === 'app')

/** As the browser is told; the audit event names the check. */
export const codeOfCheck = (check: string): Extract<Refused['code'], 'token.invalid' | 'token.principal-mismatch'> =>
  check === PRINCIPAL_CHECK ? 'token.principal-mismatch' : 'token.invalid'
