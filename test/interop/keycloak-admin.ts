import type { KeycloakPlace } from './keycloak-server.ts'

/** The admin interface of one Keycloak, as far as these tests go. */
export interface KeycloakAdmin {
  /** Under `/admin/realms`. Throws unless it is answered with a 2xx. */
  call(method: string, path: string, body?: unknown): Promise<unknown>
}

export const keycloakAdmin = (place: KeycloakPlace): KeycloakAdmin => {
  // A token of `admin-cli` lives for a minute.
  let held: { readonly token: string; readonly until: number } | undefined
  const token = async (): Promise<string> => {
    if (held && held.until > Date.now()) return held.token
    const answer = await fetch(`${place.url}/realms/master/protocol/openid-connect/token`, {
      method: 'POST',
      body: new URLSearchParams({ grant_type: 'password', client_id: 'admin-cli', ...place.admin }),
    })
    const { access_token } = (await answer.json()) as { readonly access_token: string }
    held = { token: access_token, until: Date.now() + 30_000 }
    return access_token
  }
  return {
    call: async (method, path, body) => {
      const answer = await fetch(`${place.url}/admin/realms${path}`, {
        method,
        headers: { authorization: `Bearer ${await token()}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      })
      const text = await answer.text()
      if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text.slice(0, 300)}`)
      return text === '' ? undefined : (JSON.parse(text) as unknown)
    },
  }
}
