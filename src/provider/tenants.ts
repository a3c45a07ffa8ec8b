import type { IssuerFacts, ProviderProfile } from '../domain/profile.ts'
import type { Claims } from '../domain/token.ts'
import type { Metadata } from './discovery.ts'
import { stringOf } from './json.ts'

/** In the place of a tenant's id, where an issuer stands for several. */
const PLACE = '{tenantid}'

const GUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
export const isGuid = (value: string): boolean => GUID.test(value)
const DOMAIN = /^[a-z0-9-]+(?:\.[a-z0-9-]+)+$/i
/** Origin, tenant. Any host: clouds are settings. */
const TENANT_ISSUER = /^(https?:\/\/[^/]+)\/([^/]+)\/v2\.0$/

/**
 * RFC 8414 §3.3: byte for byte, or somebody else's endpoints would be used under this name. Two exceptions, where issuers have a place for a tenant: asked
 * by a tenant's domain, the provider names the tenant by its id; asked by a word that stands for several, it announces the form. Host and form are fixed.
 */
export const isIssuerOf = (
  configured: string,
  announced: string | undefined,
  { form, aliases }: Pick<IssuerFacts, 'form' | 'aliases'>,
): announced is string => {
  if (announced === configured && !configured.includes(PLACE)) return true
  if (form !== 'tenant' || announced === undefined) return false
  const [, origin, tenant = ''] = TENANT_ISSUER.exec(configured) ?? []
  const [, announcedOrigin, announcedTenant = ''] = TENANT_ISSUER.exec(announced) ?? []
  if (origin === undefined || origin !== announcedOrigin) return false
  return aliases.includes(tenant) ? announcedTenant === PLACE : DOMAIN.test(tenant) && isGuid(announcedTenant)
}

/** Whether tokens of several issuers come from here. */
export const isForm = (issuer: string): boolean => issuer.includes(PLACE)

/** The form with a tenant in its place; without one it is not an issuer anybody has. */
export const issuerIn = (issuer: string, tenant: string): string => issuer.replace(PLACE, tenant)

/** Of a token that names no tenant where every issuer has one. */
const NOBODYS = ''

/** What the `iss` of a token with these claims has to be: the issuer, or its form filled with the token's own tenant. */
export const issuerOf = (issuer: string, claims: Claims, { claims: { tenant } }: Pick<ProviderProfile, 'claims'>): string => {
  if (!isForm(issuer)) return issuer
  const own = tenant === undefined ? undefined : stringOf(claims, tenant)
  return own !== undefined && isGuid(own) ? issuerIn(issuer, own.toLowerCase()) : NOBODYS
}

/** The tenant that an issuer names; undefined: it names none. */
export const tenantIn = (issuer: string): string | undefined => issuer.split('/').find(isGuid)?.toLowerCase()

export type TenantCheck = 'tenant' | 'tenant-refused'

/**
 * `tenant`: the token contradicts its own issuer. `tenant-refused`: it is good, and of an organisation that may not sign in here. Fails closed: who belongs
 * to none is in no list. Without a list every tenant that the issuer admits is welcome.
 */
export const checkTenant = (
  claims: Claims,
  issuer: string,
  { profile, tenants }: { readonly profile: ProviderProfile; readonly tenants: readonly string[] | undefined },
): TenantCheck | undefined => {
  if (issuer === NOBODYS) return 'tenant'
  const name = profile.claims.tenant
  const own = name === undefined ? undefined : stringOf(claims, name)?.toLowerCase()
  const named = profile.issuer.form === 'tenant' ? tenantIn(issuer) : undefined
  if (named !== undefined && own !== named) return 'tenant'
  if (tenants && !(own !== undefined && tenants.includes(own))) return 'tenant-refused'
  return undefined
}

/** With the endpoints of one tenant, where the provider has several. */
export const metadataIn = (
  metadata: Metadata,
  { issuer: { aliases } }: Pick<ProviderProfile, 'issuer'>,
  tenant: string | undefined,
): Metadata =>
  !isForm(metadata.issuer) || tenant === undefined || !isGuid(tenant)
    ? metadata
    : { ...metadata, tokenEndpoint: endpointIn(metadata.tokenEndpoint, aliases, tenant.toLowerCase()) }

/**
 * Sent to the word for several, because whose code it is shows later; but addressed to one tenant, for no assertion may be addressed to several
 * (AADSTS700023).
 */
export const addressedIn = (
  metadata: Metadata,
  { issuer: { aliases } }: Pick<ProviderProfile, 'issuer'>,
  tenant: string | undefined,
): Metadata =>
  !isForm(metadata.issuer) || tenant === undefined
    ? metadata
    : { ...metadata, assertionEndpoint: endpointIn(metadata.tokenEndpoint, aliases, tenant) }

/** The word for several is the first part of a path. */
const endpointIn = (endpoint: URL, aliases: readonly string[], tenant: string): URL => {
  const url = new URL(endpoint)
  const [, first = '', ...rest] = url.pathname.split('/')
  if (aliases.includes(first)) url.pathname = ['', tenant, ...rest].join('/')
  return url
}
