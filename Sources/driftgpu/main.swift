print("driftgpu")
