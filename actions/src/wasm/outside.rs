//! Records that a guest tried to use files or the network, which hooks do not have.
//!
//! A language runtime reports such an attempt as a missing file or an unresolvable name, and the
//! error of the hook repeats that message. The note from this module tells the author the actual
//! reason.

use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::filesystem::preopens;
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, IpAddressFamily};
use wasmtime_wasi::p2::bindings::sockets::{
    instance_network, tcp_create_socket, udp_create_socket,
};
use wasmtime_wasi::p2::{Network, SocketError, SocketResult, TcpSocket, UdpSocket};
use wasmtime_wasi::sockets::WasiSocketsView as _;

use super::session::State;

/// Appended to the error message of a hook that tried to use files or the network.
pub(super) const NOTE: &str = "hooks have no files and no network";

/// Replaces functions of WASI by ones that record the attempt and then call the original. These
/// functions suffice: every file is opened relative to a directory from `get-directories`, every
/// connection starts with a socket, and every name lookup needs the handle from `instance-network`.
pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    preopens::add_to_linker::<State, HasRecording>(linker, recording)?;
    instance_network::add_to_linker::<State, HasRecording>(linker, recording)?;
    tcp_create_socket::add_to_linker::<State, HasRecording>(linker, recording)?;
    udp_create_socket::add_to_linker::<State, HasRecording>(linker, recording)?;
    linker.allow_shadowing(false);
    Ok(())
}

struct Recording<'a>(&'a mut State);

fn recording(state: &mut State) -> Recording<'_> {
    Recording(state)
}

struct HasRecording;

impl HasData for HasRecording {
    type Data<'a> = Recording<'a>;
}

impl preopens::Host for Recording<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        self.0.tried_outside = true;
        preopens::Host::get_directories(&mut self.0.filesystem())
    }
}

impl instance_network::Host for Recording<'_> {
    fn instance_network(&mut self) -> wasmtime::Result<Resource<Network>> {
        self.0.tried_outside = true;
        instance_network::Host::instance_network(&mut self.0.sockets())
    }
}

impl tcp_create_socket::Host for Recording<'_> {
    fn create_tcp_socket(&mut self, of: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        self.0.tried_outside = true;
        tcp_create_socket::Host::create_tcp_socket(&mut self.0.sockets(), of)
    }
}

impl udp_create_socket::Host for Recording<'_> {
    async fn create_udp_socket(
        &mut self,
        of: IpAddressFamily,
    ) -> SocketResult<Resource<UdpSocket>> {
        self.0.tried_outside = true;
        udp_create_socket::Host::create_udp_socket(&mut self.0.sockets(), of).await
    }
}

impl network::HostNetwork for Recording<'_> {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        network::HostNetwork::drop(&mut self.0.sockets(), network)
    }
}

impl network::Host for Recording<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        network::Host::convert_error_code(&mut self.0.sockets(), error)
    }

    fn network_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        network::Host::network_error_code(&mut self.0.sockets(), error)
    }
}
