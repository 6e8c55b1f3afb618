//! The stubs of the program `rpc`: client and server of a gRPC service, written out by tonic's generator.
//!
//! The service is described here and its messages are structs in `rpc.rs`, so no `protoc` is needed. From a `.proto`
//! file it would be `tonic_prost_build::compile_protos`.

use tonic_build::manual::{Builder, Method, MethodBuilder, Service};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let method = |name: &str, route: &str| -> MethodBuilder {
        Method::builder()
            .name(name)
            .route_name(route)
            .input_type("crate::Number")
            .output_type("crate::Number")
            .codec_path("tonic_prost::ProstCodec")
    };
    let numbers = Service::builder()
        .name("Numbers")
        .package("ecosystem")
        .method(method("square", "Square").build())
        .method(method("count", "Count").server_streaming().build())
        .method(method("sum", "Sum").client_streaming().build())
        .method(method("sums", "Sums").client_streaming().server_streaming().build())
        .build();
    Builder::new().compile(&[numbers]);
}
