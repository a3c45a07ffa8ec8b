/** `x_user` and `x-user` are one name to many upstreams (CGI folds them): names outside this grammar never pass. */
const NAME = /^[a-z0-9-]+$/

const names = (text: string): readonly string[] => text.trim().split(/\s+/)

/** Belong to one connection or to the gateway (RFC 9110 §7.6.1), or would be read as an order to change method, path or host. `explain` lists them. */
export const DROPPED: ReadonlySet<string> = new Set(
  names(`
  connection keep-alive te trailer transfer-encoding upgrade expect host http2-settings
  cookie cookie2 authorization forwarded x-csrf x-request-id traceparent tracestate
  x-http-method x-http-method-override x-method-override x-original-url x-original-uri x-original-method x-original-host x-rewrite-url x-rewrite-uri
  x-host x-http-host-override x-url-scheme front-end-https x-proxyuser-ip
  x-real-ip x-client-ip client-ip true-client-ip x-cluster-client-ip x-originating-ip x-azure-clientip x-azure-socketip cf-connecting-ip cf-connecting-ipv6
  fastly-client-ip fly-client-ip
  x-email x-groups x-group x-roles x-role x-subject x-sub x-principal x-account x-identity x-login x-username x-userid x-access-token x-id-token x-token
  x-scope-orgid x-subject-token x-jwt x-bearer x-client-cert client-cert client-cert-chain x-ssl-cert ssl-client-cert
  remote-user user-id
`),
)

/** What proxies and platforms in the field use to tell an upstream who is calling: names that begin so. */
export const DROPPED_FAMILIES = names(`
  proxy- x-forwarded- x-auth- x-authenticated- x-ms-client-principal x-ms-token- x-user x-remote- remote- x-webauth- webauth-
  x-sallyport- sallyport- x-goog-iap- x-goog-authenticated- x-amzn-oidc- x-amzn-request-context cf-access- x-pomerium- x-vouch- x-authentik- x-credential- x-consumer-
  x-envoy- x-jwt- x-oidc- oidc- x-client-cert- x-ssl-client ssl-client- x-ssl-client- x-tls-client- x-impersonat impersonate- x-saml- shib- x-shib- x-okta- x-keycloak-
`)

/** gRPC-Web and some SDKs say here what they are, not who they act for. */
export const HARMLESS: ReadonlySet<string> = new Set(['x-user-agent'])

/** @param name lower case. True: never from the client to an upstream, whatever the route says. */
export const isDropped = (name: string): boolean =>
  !NAME.test(name) || (!HARMLESS.has(name) && (DROPPED.has(name) || DROPPED_FAMILIES.some((family) => name.startsWith(family))))
