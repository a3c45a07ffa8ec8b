import { randomUUID } from 'node:crypto'
import { toNumericDate } from '../../../../src/kernel/time.ts'
import { escapeHtml, type Exchange, htmlReply, type Json, jsonReply, type Reply } from '../core-exchange.ts'

type Facts = Readonly<Record<string, string | number | undefined>>

interface Text {
  /** 400 unless told; 401 for `invalid_client`. */
  readonly status?: number
  readonly error: string
  readonly suberror?: string
  readonly text: string
}

const says = (error: string, text: string, suberror?: string): Text => ({ error, text, ...(suberror && { suberror }) })

/** providers.md §8.1 and §1.14; `{name}` is filled from the facts. Product code must match none of these words. */
const TEXTS: Readonly<Record<number, Text>> = {
  28000: says(
    'invalid_request',
    'Provided value for the input parameter scope is not valid because it contains more than one resource. Scope {scope} is not valid.',
  ),
  28003: says(
    'invalid_request',
    'Provided value for the input parameter scope cannot be empty when requesting an access token using the provided authorization code. Please specify a valid scope.',
  ),
  50001: says('invalid_resource', 'The resource principal named {resource} is disabled.'),
  50011: says(
    'invalid_request',
    "The redirect URI '{redirectUri}' specified in the request does not match the redirect URIs configured for the application '{client}'.",
  ),
  50013: says('invalid_grant', 'Assertion failed signature validation. [Reason - {reason}]'),
  50020: says(
    'invalid_grant',
    "User account '{user}' from identity provider '{idp}' does not exist in tenant '{tenant}' and cannot access the application '{client}' in that tenant.",
  ),
  50027: says('invalid_request', 'Invalid JWT token. {reason}'),
  50057: says('invalid_grant', 'The user account is disabled.'),
  50058: says('login_required', 'A silent sign-in request was sent but no user is signed in.'),
  50076: says(
    'invalid_grant',
    "Due to a configuration change made by your administrator, or because you moved to a new location, you must use multi-factor authentication to access '{resource}'.",
    'basic_action',
  ),
  50148: says('invalid_grant', 'The code_verifier does not match the code_challenge supplied in the authorization request for PKCE.'),
  50166: says('invalid_request', 'Request to External OIDC endpoint failed.'),
  50173: says(
    'invalid_grant',
    "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might have changed or reset their password. The grant was issued on '{issued}' and the TokensValidFrom date (before which tokens are not valid) for this user is '{validFrom}'.",
    'bad_token',
  ),
  50194: says(
    'invalid_request',
    "Application '{client}' is not configured as a multi-tenant application. Usage of the /common endpoint is not supported for such apps created after '10/15/2018'.",
  ),
  50196: says(
    'invalid_grant',
    'The server terminated an operation because it encountered a client request loop. Please contact your app vendor.',
  ),
  53000: says(
    'interaction_required',
    'Device is not in required device state: unknown. Conditional Access policy requires a compliant device, and the device is not compliant.',
    'message_only',
  ),
  53003: says(
    'invalid_grant',
    'Access has been blocked by Conditional Access policies. The access policy does not allow token issuance.',
    'message_only',
  ),
  54005: says(
    'invalid_grant',
    'OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token.',
  ),
  65001: says(
    'invalid_grant',
    "The user or administrator has not consented to use the application with ID '{client}' named '{name}'. Send an interactive authorization request for this user and resource.",
    'consent_required',
  ),
  65004: says('access_denied', 'User declined to consent to access the app.'),
  70000: says('invalid_grant', 'Provided grant is invalid or malformed.'),
  70003: says('unsupported_grant_type', "The app requested an unsupported grant type '{grant}'."),
  70005: says('unsupported_response_type', "The app returned an unsupported response type '{responseType}'."),
  70007: says('invalid_request', "'{responseMode}' is not a supported value of 'response_mode' when requesting a token."),
  70008: says(
    'invalid_grant',
    'The provided authorization code or refresh token has expired due to inactivity. Send a new interactive authorization request for this user and resource.',
  ),
  70011: says(
    'invalid_scope',
    "The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid. The scope {scope} is not valid.",
  ),
  70021: says(
    'invalid_client',
    "No matching federated identity record found for presented assertion. Assertion Issuer: '{iss}'. Assertion Subject: '{sub}'. Assertion Audience: '{aud}'.",
  ),
  70023: says('invalid_request', 'The presented external assertion has a lifetime of more than 1.01:00:00.'),
  70043: says(
    'invalid_grant',
    'The refresh token has expired or is invalid due to sign-in frequency checks by conditional access. The token was issued on {issued} and the maximum allowed lifetime for this request is {seconds}.',
    'token_expired',
  ),
  90002: says(
    'invalid_tenant',
    "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.",
  ),
  90009: says(
    'invalid_request',
    "Application '{client}'({name}) is requesting a token for itself. This scenario is supported only if resource is specified using the GUID based App Identifier.",
  ),
  90014: says(
    'invalid_request',
    "The required field '{field}' is missing from the credential. Ensure that you have all the necessary parameters for the login request.",
  ),
  90023: says('invalid_request', 'The request is malformed: {reason}'),
  90055: { status: 429, error: 'temporarily_unavailable', text: 'The tenant is throttled due to too many requests.' },
  90094: says('access_denied', 'The grant requires administrator permission. {scope}'),
  240002: says('invalid_grant', "Input id_token cannot be used as 'urn:ietf:params:oauth:grant-type:jwt-bearer' grant."),
  500011: says(
    'invalid_resource',
    'The resource principal named {resource} was not found in the tenant named {tenant}. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant.',
  ),
  500131: says(
    'invalid_grant',
    "Assertion audience does not match the Client app presenting the assertion. The audience in the assertion was '{aud}' and the expected audience is '{expected}' or one of the Application Uris of this application with App ID '{client}'({name}). The downstream client must request a token for the expected audience (the application that made this OBO request) and this application should use that token as the assertion.",
  ),
  500133: says(
    'invalid_grant',
    'Assertion is not within its valid time range. Ensure that the access token is not expired before using it for user assertion, or request a new token. Current time: {now}, expiry time of assertion {exp}.',
  ),
  501051: says('invalid_grant', "Application '{client}'({name}) is not assigned to a role for the application '{resource}'."),
  501481: says('invalid_grant', 'The Code_Verifier does not match the code_challenge supplied in the authorization request.'),
  501491: says('invalid_request', 'Invalid size of Code_Challenge parameter.'),
  700005: says('invalid_grant', 'The provided authorization code is intended to be used against another tenant: {tenant}.'),
  700007: says('invalid_grant', 'The grant was issued to another client.'),
  700016: says(
    'unauthorized_client',
    "Application with identifier '{client}' was not found in the directory '{tenant}'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant.",
  ),
  700021: says('invalid_client', "Client assertion application identifier doesn't match 'client_id' parameter."),
  700023: says(
    'invalid_client',
    'Client assertion audience claim does not match Realm issuer. Review the documentation at https://docs.microsoft.com/azure/active-directory/develop/active-directory-certificate-credentials.',
  ),
  700024: says(
    'invalid_client',
    'Client assertion is not within its valid time range. Current time: {now}, assertion valid from {nbf}, expiry time of assertion {exp}.',
  ),
  700025: says('invalid_client', "Client is public so neither 'client_assertion' nor 'client_secret' should be presented."),
  700027: says(
    'invalid_client',
    "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - The key was not found., {thumbprint}Please visit the Azure Portal, Graph Explorer or directly use MS Graph to see configured keys for app Id '{client}'. Review the documentation at https://docs.microsoft.com/en-us/graph/deployments to determine the corresponding service endpoint and https://docs.microsoft.com/en-us/graph/api/application-get to build a query request URL, such as 'https://graph.microsoft.com/beta/applications/{client}'].",
  ),
  700082: says(
    'invalid_grant',
    'The refresh token has expired due to inactivity. The token was issued on {issued} and was inactive for 90.00:00:00.',
  ),
  700084: says(
    'invalid_grant',
    'The refresh token was issued to a single page app (SPA), and therefore has a fixed, limited lifetime of 1.00:00:00, which can not be extended.',
  ),
  700211: says(
    'invalid_client',
    "No matching federated identity record found for presented assertion issuer '{iss}'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion.",
  ),
  700212: says(
    'invalid_client',
    "No matching federated identity record found for presented assertion audience '{aud}'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion.",
  ),
  700213: says(
    'invalid_client',
    "No matching federated identity record found for presented assertion subject '{sub}'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion. https://learn.microsoft.com/entra/workload-id/workload-identity-federation",
  ),
  900144: says('invalid_request', "The request body must contain the following parameter: '{field}'."),
  900561: { status: 405, error: 'invalid_request', text: 'The endpoint only accepts POST requests. Received a {method} request.' },
  901002: says('invalid_request', "The 'resource' request parameter is not supported."),
  1000502: says(
    'invalid_client',
    'The provided certificate is not within its specified validity time range. Certificate thumbprint {thumbprint}.',
  ),
  1002012: says(
    'invalid_scope',
    'The provided value for scope {scope} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).',
  ),
  7000112: says('unauthorized_client', "Application '{client}'({name}) is disabled."),
  7000114: says('invalid_grant', "Application '{client}' is not allowed to make application on-behalf-of calls."),
  7000214: says('invalid_client', 'Certificate has been revoked.'),
  7000215: says(
    'invalid_client',
    "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{client}'.",
  ),
  7000218: says('invalid_client', "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."),
  7000222: says(
    'invalid_client',
    "The provided client secret keys for app '{client}' are expired. Visit the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: https://aka.ms/certCreds.",
  ),
  7000274: says('invalid_client', 'The client assertion has a bad signature.'),
  7002138: says(
    'invalid_client',
    "No matching federated identity record found for presented assertion subject '{sub}'. The subject matches with case-insensitive comparison, but not with case-sensitive comparison.",
  ),
  9001023: says(
    'invalid_request',
    'The grant type is not supported over the /common or /consumers endpoints. Please use the /organizations or tenant-specific endpoint.',
  ),
  9002313: says('invalid_request', 'Invalid request. Request is malformed or invalid.'),
  9002326: says(
    'invalid_request',
    "Cross-origin token redemption is permitted only for the 'Single-Page Application' client-type. Request origin: '{origin}'.",
  ),
  9002327: says(
    'invalid_request',
    "Tokens issued for the 'Single-Page Application' client-type may only be redeemed via cross-origin requests.",
  ),
  9010010: says('invalid_target', "The resource parameter provided in the request doesn't match with the requested scopes."),
}

/** A refusal by number, as Entra's support pages know it. Thrown inside the emulator; the endpoint decides how it is said. */
export class Aadsts extends Error {
  readonly code: number
  readonly status: number
  readonly error: string
  readonly suberror: string | undefined
  readonly claims: string | undefined
  constructor(code: number, facts: Facts = {}, more: { readonly claims?: Json; readonly error?: string; readonly text?: string } = {}) {
    const known = TEXTS[code]
    if (!known) throw new Error(`the emulator does not know AADSTS${code}`)
    super((more.text ?? known.text).replaceAll(/\{(\w+)\}/g, (_whole, name: string) => String(facts[name] ?? '')))
    this.code = code
    this.error = more.error ?? known.error
    this.status = known.status ?? (this.error === 'invalid_client' ? 401 : 400)
    this.suberror = known.suberror
    this.claims = more.claims && JSON.stringify(more.claims)
  }
}

/** `2026-11-20 20:00:00Z` */
const stamp = (at: number): string => `${new Date(at).toISOString().slice(0, 19).replace('T', ' ')}Z`
export const isoSeconds = (at: number): string => new Date(toNumericDate(at as never) * 1000).toISOString()

/** E21: the body every refusal has. */
const bodyOf = (refusal: Aadsts, now: number, correlation: string): Json => {
  const trace = randomUUID()
  return {
    error: refusal.error,
    error_description: `${descriptionOf(refusal)}\r\nTrace ID: ${trace}\r\nCorrelation ID: ${correlation}\r\nTimestamp: ${stamp(now)}`,
    error_codes: [refusal.code],
    timestamp: stamp(now),
    trace_id: trace,
    correlation_id: correlation,
    error_uri: `https://login.microsoftonline.com/error?code=${refusal.code}`,
    ...(refusal.suberror && { suberror: refusal.suberror }),
    ...(refusal.claims && { claims: refusal.claims }),
  }
}
const descriptionOf = (refusal: Aadsts): string => `AADSTS${refusal.code}: ${refusal.message}`

const correlationOf = ({ headers }: Exchange): string => {
  const given = headers['client-request-id']
  return typeof given === 'string' && given !== '' ? given : randomUUID()
}

/** At the token endpoint. */
export const refusedJson = (refusal: Aadsts, exchange: Exchange): Reply => {
  exchange.note({ code: `AADSTS${refusal.code}` })
  const correlation = correlationOf(exchange)
  return jsonReply(bodyOf(refusal, exchange.now, correlation), refusal.status, {
    'x-ms-request-id': randomUUID(),
    ...(exchange.headers['return-client-request-id'] === 'true' && { 'client-request-id': correlation }),
    ...(refusal.status === 429 && { 'retry-after': '60' }),
  })
}

/** E1: before the redirect URI is known to be right, nobody is sent anywhere. */
export const refusedHtml = (refusal: Aadsts, exchange: Exchange): Reply => {
  exchange.note({ code: `AADSTS${refusal.code}` })
  return htmlReply(
    `<!DOCTYPE html><html><head><title>Sign in to your account</title></head><body><h1>Sorry, but we’re having trouble signing you in.</h1><p>${escapeHtml(descriptionOf(refusal))}</p></body></html>`,
    400,
  )
}

/** As parameters of a callback. */
export const refusedParameters = (refusal: Aadsts, exchange: Exchange): Readonly<Record<string, string>> => {
  exchange.note({ code: `AADSTS${refusal.code}` })
  const body = bodyOf(refusal, exchange.now, correlationOf(exchange))
  return { error: refusal.error, error_description: String(body['error_description']), error_uri: String(body['error_uri']) }
}

/** For a fault plan: this refusal, whatever was asked. `fault.reply(aadstsReply(50196))`. */
export const aadstsReply = (code: number, facts: Facts = {}, more: { readonly claims?: Json; readonly error?: string } = {}): Reply => {
  const refusal = new Aadsts(code, facts, more)
  return jsonReply(bodyOf(refusal, Date.now(), randomUUID()), refusal.status, refusal.status === 429 ? { 'retry-after': '60' } : {})
}
