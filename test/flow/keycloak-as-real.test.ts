/**
 * The gateway at the Keycloak emulator, by the tests that `npm run interop` runs at a real one. What a real one cannot be made to do is in
 * keycloak-gateway.test.ts; gateway-certificate.test.ts waits ten seconds for a provider that is left alone meanwhile, and is not repeated here.
 */
import '../interop/gateway.test.ts'
