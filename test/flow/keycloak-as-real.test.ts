/**
 * The gateway at the Keycloak emulator, by the tests that `npm run interop` runs at a real one. Not repeated here: those that wait for a provider that is left alone
 * for ten seconds (certificate, rotation), and those that are played with more means in keycloak-gateway.test.ts (keys, reuse).
 */
import '../interop/gateway-callers.test.ts'
import '../interop/gateway.test.ts'
