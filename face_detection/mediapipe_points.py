"""MediaPipe's face landmarker as a program of its own: pictures in on standard input, points out on standard output.

    python face_detection/mediapipe_points.py face_landmarker.task POINT...

mediapipe demands another build of OpenCV than ours, so it lives in a virtual environment of its own, and this file
needs nothing but it and numpy.  First out: the 5 bytes `ready`.  Then, for each request, three int32 (n, height, width)
and n pictures u8 RGB in; n times the chosen of its 478 points (x, y, z) f32 in pixels out, NaN where there is no face;
z, away from the viewer, is a guess of the model's.
"""

import sys

import numpy as np

READY = b"ready"
MOUTH = (61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91, 78, 81, 13, 311, 308, 402, 14, 178)
"""Of MediaPipe's 478 points, those nearest to iBUG's 48..67.  Our choice; the corners and the middles are exact."""


def main() -> None:
    """Answers requests until standard input ends."""
    import mediapipe

    points = [int(number) for number in sys.argv[2:]]
    tasks = mediapipe.tasks.vision
    base = mediapipe.tasks.BaseOptions(model_asset_path=sys.argv[1])
    with tasks.FaceLandmarker.create_from_options(tasks.FaceLandmarkerOptions(base_options=base)) as landmarker:
        _send(READY)
        while len(head := sys.stdin.buffer.read(12)) == 12:
            count, height, width = (int(number) for number in np.frombuffer(head, np.int32))
            pictures = np.frombuffer(sys.stdin.buffer.read(count * height * width * 3), np.uint8)
            landmarks = np.full((count, len(points), 3), np.nan, np.float32)
            for place, picture in zip(landmarks, pictures.reshape(count, height, width, 3), strict=True):
                image = mediapipe.Image(mediapipe.ImageFormat.SRGB, np.ascontiguousarray(picture))
                faces = landmarker.detect(image).face_landmarks
                if faces:
                    place[:] = [(faces[0][k].x * width, faces[0][k].y * height, faces[0][k].z * width) for k in points]
            _send(landmarks.tobytes())


def _send(answer: bytes) -> None:
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
