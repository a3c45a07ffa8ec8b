/**
 * What was measured at a real Keycloak (docs/interop.md), asked of the emulator by the very same tests: `npm run interop` runs them at the real one. Who
 * changes the emulator is told here; who finds that Keycloak changed, changes both.
 */
import '../interop/keycloak-clients.test.ts'
import '../interop/keycloak-exchange.test.ts'
import '../interop/keycloak-logout.test.ts'
import '../interop/keycloak-refresh.test.ts'
