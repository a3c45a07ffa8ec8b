/** Header of the signed user context; of a name that never passes from outside (proxy/dropped-names.ts). */
export const USER_CONTEXT_HEADER = 'sallyport-user-context'

/** Written into it by the gateway itself, whatever a claim of that name says. */
export const USER_CONTEXT_CLAIMS: readonly string[] = 'iss aud iat exp nbf jti txn sub tid client_id request_id cnf act scope'.split(' ')
