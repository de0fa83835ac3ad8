/** How the artifacts of a tool are addressed. `{tenant}`, `{namespace}` and `{key}` (32 hex digits) are filled in. */
export type Addressing = { readonly pathTemplate: string; readonly writeMethod: "PUT" | "POST" };

/** Routes of Kura by tool. A node fixes tenant and namespace itself where the path has none. */
export const surfaces = {
  gradle: { pathTemplate: "/cache/{tenant}/{namespace}/{key}", writeMethod: "PUT" },
  nx: { pathTemplate: "/v1/cache/{key}", writeMethod: "PUT" },
  metro: { pathTemplate: "/api/metro/cache/{key}", writeMethod: "PUT" },
  xcode: {
    pathTemplate: "/api/cache/cas/{key}?tenant_id={tenant}&namespace_id={namespace}",
    writeMethod: "POST",
  },
  // Bytes that are no action result are stored as they are; a hash has 64 digits.
  bazel: { pathTemplate: "/{namespace}/ac/{key}{key}", writeMethod: "PUT" },
  ccache: { pathTemplate: "/ccache/{tenant}/{namespace}/{key}", writeMethod: "PUT" },
  turborepo: { pathTemplate: "/v8/artifacts/{key}?slug={namespace}", writeMethod: "PUT" },
} as const satisfies Readonly<Record<string, Addressing>>;

export type SurfaceName = keyof typeof surfaces;
export const surfaceNames = Object.keys(surfaces) as SurfaceName[];
