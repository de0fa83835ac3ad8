import { plugin } from "bun";

/**
 * Planted bug 7, to be preloaded: the tenant is left out of the key of every artifact. It changes the source as it is
 * loaded, so that the store and all surfaces of that process have the bug and no other process does.
 */
const tenantOfKey = "{scope.tenant}\\0$";
const keyOfArtifact = `${"$"}{producer}\\0$${tenantOfKey}{scope.namespace}`;
const keyWithoutTenant = keyOfArtifact.replace(tenantOfKey, "");

plugin({
  name: "planted bug 7",
  setup(build) {
    build.onLoad({ filter: /runtime\/store\/identity\.ts$/ }, async ({ path }) => {
      const source = await Bun.file(path).text();
      const contents = source.replace(keyOfArtifact, keyWithoutTenant);
      if (contents === source) throw new Error(`Cannot plant bug 7: ${path} names keys otherwise`);
      return { contents, loader: "ts" };
    });
  },
});
