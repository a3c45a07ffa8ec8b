import { type AppOptions, type DirectoryOptions, guidOf } from './directory.ts'

export const CONTOSO = guidOf('tenant contoso')
export const FABRIKAM = guidOf('tenant fabrikam')
export const DEFAULT_CLIENT_ID = guidOf('app gateway')
export const ORDERS_ID = guidOf('app orders')

/** Two tenants, two users (Grace is also a guest next door), one confidential client, four APIs: everything a flow test needs without saying so. */
export const defaultDirectory = (client: Partial<AppOptions>, secret: string): DirectoryOptions => {
  const id = client.id ?? DEFAULT_CLIENT_ID
  const api = (name: string, more: object = {}) => ({
    name,
    uris: [`api://${name}`],
    scopes: [`${name}.read`, `${name}.write`],
    ...more,
  })
  return {
    tenants: [
      { id: CONTOSO, name: 'Contoso', domains: ['contoso.example', 'contoso.onmicrosoft.example'] },
      { id: FABRIKAM, name: 'Fabrikam', domains: ['fabrikam.example'] },
    ],
    users: [
      {
        key: 'ada',
        name: 'Ada Lovelace',
        tenant: CONTOSO,
        upn: 'ada@contoso.example',
        email: 'ada@contoso.example',
        groups: 3,
        roles: { [ORDERS_ID]: ['Orders.Approve'] },
      },
      { key: 'grace', name: 'Grace Hopper', tenant: FABRIKAM, upn: 'grace@fabrikam.example', guestIn: [CONTOSO], groups: 250 },
    ],
    apps: [{ name: 'gateway', id, multiTenant: true, secrets: [secret], redirectUris: ['http://localhost/bff/callback'], ...client }],
    resources: [
      api('orders', { roles: ['Orders.Read.All'], groups: true, cae: true }),
      api('customers'),
      // An older API: its tokens are of version 1, and `aud` is what was asked for.
      api('inventory', { version: 1 }),
      // Nobody has consented yet, and applications need a role.
      api('reports', { roles: ['Reports.Read.All'], adminScopes: ['reports.write'], assignmentRequired: true }),
    ],
    consents: ['orders', 'customers', 'inventory'].map((name) => ({
      client: id,
      resource: guidOf(`app ${name}`),
      scopes: [`${name}.read`, `${name}.write`],
    })),
    roles: [{ client: id, resource: ORDERS_ID, roles: ['Orders.Read.All'] }],
  }
}
